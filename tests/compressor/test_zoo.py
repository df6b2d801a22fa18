"""What the zoo says of a network is what the network says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import torch
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create, names
from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder
from vsrc.compressor.zoo import ROWS, ShippedLatency, ShippedPackage, Zoo, ZooNetwork, zoo
from vsrc.compressor.zoo_text import zoo_text
from vsrc.runtime.shipped_models import list_shipped
from vsrc.runtime.spec import Quality

if TYPE_CHECKING:
    from vsrc.runtime.spec import Argument

SHALLOW: dict[str, dict[str, Argument]] = {
    "imdn": {"blocks": 1},
    "imdn-as": {"blocks": 1},
    "rlfn": {"blocks": 1},
    "edsr": {"blocks": 1},
    "rcan": {"groups": 1, "blocks": 1},
    "san": {"groups": 1, "blocks": 1},
}
"""Which scales there are does not depend on depth."""

each = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)


def test_it_lists_the_table() -> None:
    listed = [row.name for row in ROWS]
    lines = "\n    ".join(row_to_add(name) for name in names() if name not in listed)
    advice = (
        f"give ROWS of compressor/zoo.py the names of the table, in its order; add:\n    {lines}"
    )
    assert listed == names(), advice


def row_to_add(name: str) -> str:
    """The line that a network of the table lacks, without `scales`, which only it can say."""
    with torch.device("meta"):
        spec = spec_of(create(name))
    return (
        f"ZooNetwork({name!r}, {spec.parameters:_}, {spec.gmac_per_lr_pixel * 1e6:_.1f}, "
        f"window={spec.window}, scale={spec.scale}, colour={spec.colour!r}),"
    )


@each
def test_a_row_is_what_the_network_says(row: ZooNetwork) -> None:
    with torch.device("meta"):
        network = create(row.name)
    spec = spec_of(network)
    assert (row.parameters, row.window, row.time_scale) == (
        spec.parameters,
        spec.window,
        spec.time_scale,
    )
    assert (row.scale, row.colour) == (spec.scale, spec.colour)
    assert row.kmac_per_lr_pixel == pytest.approx(spec.gmac_per_lr_pixel * 1e6, abs=0.05)
    # What export really writes is tested in its room.
    halves = ("encode", "fuse") if isinstance(network, FrameEncoder) else ()
    assert row.graphs == (() if getattr(network, "sees_hr", False) else ("whole", *halves))


@each
def test_it_can_be_made_for_these_scales_and_no_other(row: ZooNetwork) -> None:
    made = []
    for scale in range(1, 17):
        try:
            with torch.device("meta"):
                create(row.name, scale=scale, **SHALLOW.get(row.name, {}))
        except ValueError:
            continue
        made.append(scale)
    assert tuple(made) == row.scales


def test_shipped_packages_are_listed() -> None:
    found = zoo()
    assert [package.name for package in found.packages] == list_shipped()
    assert {row.name for row in found.networks if row.ships} == {p.network for p in found.packages}


def test_the_table_fits_a_terminal_and_says_what_was_measured() -> None:
    protocol = "x4, border of 4, mean over frames " * 5
    quality = (Quality("vid4/city", "psnr_y", protocol, 25.9), Quality("vid4", "ssim", "p", 0.7))
    times = (ShippedLatency("ort-cpu fp32", 2, 180, 320, 51.26, "AMD EPYC"),)
    packages = (
        ShippedPackage("tiny", "edge-s", 4, "bd", ("fp32",), "edvr-xs", "MIT", quality, times),
        ShippedPackage("bare", "edvr-xs", 4, "bi", (), None, "CC0-1.0", (), ()),
    )
    text = zoo_text(Zoo(zoo().networks, packages), width=100)
    assert max(map(len, text.splitlines())) <= 100
    assert "tiny: edge-s x4, teacher edvr-xs" in text
    assert "degradation bd, licence MIT, graphs fp32" in text
    assert "vid4/city: psnr_y 25.90\n    vid4: ssim 0.7000" in text
    assert "51.3 ms per frame of 180x320 (HxW) (median), ort-cpu fp32, 2 threads, AMD EPYC" in text
    assert "not measured" in text
    assert " ".join(text.split()).count("border of 4, mean over frames x4") == 4
    (edsr,) = (line for line in text.splitlines() if line.startswith("edsr"))
    assert edsr.split()[1:] == ["43,089,923", "50,252.5", "1", "x1", "1-4,", "8", "rgb", "whole"]


def test_a_protocol_is_printed_once_for_all_scales() -> None:
    text = zoo_text(zoo(), width=100)
    (line,) = [line for line in text.splitlines() if "Measured:" in line]
    assert "x4 and x2, LR: made from HR by bi" in line


@pytest.mark.parametrize("columns", [60, 80, 132])
def test_it_fits_the_terminal_and_loses_nothing(columns: int) -> None:
    done = CliRunner().invoke(main, ["zoo"], env={"COLUMNS": str(columns)})
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= columns
    said = " ".join(done.stdout.split())
    for row in ROWS:
        for value in (row.name, f"{row.parameters:,}", f"{row.kmac_per_lr_pixel:,.1f}"):
            assert value in said
    for package in zoo().packages:
        assert f"{package.name}: {package.network} x{package.scale}" in said
        for timing in package.latency:
            assert f"{timing.p50_ms:.1f} ms per frame" in said
            assert timing.machine in said


def test_the_command_gives_json() -> None:
    done = CliRunner().invoke(main, ["zoo", "--json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert [row["name"] for row in said["networks"]] == [row.name for row in ROWS]
    assert said["networks"][0]["scales"] == [4]


def test_it_needs_no_torch() -> None:
    code = (
        "import sys; from click.testing import CliRunner; from vsrc.cli import main; "
        "assert CliRunner().invoke(main, ['zoo']).exit_code == 0; print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy"} & set(done.stdout.split())
