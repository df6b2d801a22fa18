"""The student that a latency allows: against a search written out, on a device made up."""

from __future__ import annotations

import itertools
import re
import shlex
import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.latency_target import choose_student, resolve_target
from vsrc.compressor.networks import create
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile, ProfilePoint, with_left_out
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.machine import Machine
from vsrc.runtime.sample import SAMPLE_CLIP

ENCODED, FEATURES, BLOCKS = (8, 16), (8, 16, 32), (1, 4, 8)
SHAPE = (90, 160)


def device_ms(size: EdgeSize) -> float:
    """A device whose time is its arithmetic, and a little for each layer: 20 GMAC/s."""
    return 0.5 + size.kilo_mac(scale=4, window=5) * 1e3 * SHAPE[0] * SHAPE[1] / 20e6


@pytest.fixture(scope="module")
def profile() -> LatencyProfile:
    sizes = [EdgeSize(*three) for three in itertools.product(ENCODED, FEATURES, BLOCKS)]
    points = tuple(
        ProfilePoint(size, *SHAPE, 1, 1.0, device_ms(size), None, ((device_ms(size),),))
        for size in sizes
    )
    made = LatencyProfile(
        started_utc="2026-01-01T00:00:00+00:00",
        scale=4,
        window_frames=5,
        session="ort-cpu fp32",
        precision="fp32",
        threads=1,
        versions={},
        machine=Machine("made up", "x86_64", 1, None, None, "Linux", None),
        rates=Rates(1, 40.0, 40.0, 10.0),
        points=points,
    )
    return replace(made, left_out=with_left_out(made))


@pytest.fixture
def config(profile: LatencyProfile, tmp_path: Path) -> DistillConfig:
    profile.write(tmp_path / "device.json")
    return DistillConfig(
        data=(tmp_path,),
        objective="none",
        target_latency_ms=20.0,
        device_profile=tmp_path / "device.json",
    )


def test_arithmetic_of_a_size_is_that_of_its_network() -> None:
    for name, size in (("edge-s", EdgeSize(0, 32, 5)), ("edge", EdgeSize(16, 64, 10))):
        given = asdict(size) if name == "edge" else {}
        counted = spec_of(create(name, **given)).gmac_per_lr_pixel * 1e6
        assert size.kilo_mac(scale=4, window=5) == pytest.approx(counted, abs=0.2)


@pytest.mark.parametrize("target_ms", [8.0, 20.0, 45.0])
def test_the_most_arithmetic_that_keeps_the_latency_is_taken(
    profile: LatencyProfile, target_ms: float
) -> None:
    choice = choose_student(profile, target_ms=target_ms)
    chosen = choice.chosen
    (left_out,) = profile.left_out
    # Time grows with arithmetic alone here, so the best is known: the nearest below the limit.
    every = itertools.product(ENCODED, range(8, 33, 4), range(1, 9))
    kept = []
    for encoded, features, blocks in every:
        size = EdgeSize(encoded, features, blocks)
        margin = 1.0 if features in FEATURES and blocks in BLOCKS else 1 + left_out.largest
        if device_ms(size) * margin <= target_ms * (1 + 1e-6):
            kept.append(EdgeSize(encoded, features, blocks).kilo_mac(scale=4, window=5))
    assert chosen.kilo_mac == pytest.approx(max(kept))
    assert chosen.surely_ms <= target_ms
    assert choice.fitting == len(kept)


def test_it_says_what_it_took_and_what_was_too_slow(profile: LatencyProfile) -> None:
    text = choose_student(profile, target_ms=20.0).text()
    first, head, *rows, command = text.splitlines()
    assert first.startswith("20 ms at 90x160 (HxW) on made up, ort-cpu fp32: ")
    assert head.split()[-1] == "size"
    assert len(rows) == 3
    assert [("recommended" in row, "too slow" in row) for row in rows] == [
        (True, False),
        (False, True),
        (False, True),
    ]
    assert command.startswith("the same without a profile: vsrc distill ")
    everything = choose_student(profile, target_ms=1e6)
    assert everything.fitting == everything.tried
    assert "every size that the profile covers is fast enough" in everything.text()


def test_the_recommended_row_can_be_typed(profile: LatencyProfile) -> None:
    choice = choose_student(profile, target_ms=20.0)
    (line,) = (line for line in choice.text().splitlines() if "vsrc distill" in line)
    words = shlex.split(line.partition("vsrc ")[2].replace("DIR ...", str(SAMPLE_CLIP.parent)))
    quick = ["--objective", "none", "--set", "patch=32", "--set", "batch=1", "--dry-run"]
    done = CliRunner().invoke(main, [*words, *quick])
    assert done.exit_code == 0, done.output
    found = re.search(r"student +edge: ([\d,]+) parameters", done.stdout)
    assert found is not None
    weights = choice.chosen.size.weights(scale=4, window=5)
    # The biases come on top.
    assert weights < int(found[1].replace(",", "")) < 1.05 * weights


def test_a_latency_that_none_keeps_is_refused(profile: LatencyProfile) -> None:
    with pytest.raises(MismatchError, match=r"0\.1 ms .*90x160 .*; .* 8x8x1"):
        choose_student(profile, target_ms=0.1)
    with pytest.raises(MismatchError, match=r"180x320; .* 90x160"):
        choose_student(profile, target_ms=20.0, shape=(180, 320))


def test_the_student_of_a_run_is_the_chosen_one(config: DistillConfig) -> None:
    found, choice = resolve_target(config)
    assert choice is not None
    assert found.student == "edge"
    network = create("edge", **found.student_arguments)
    assert spec_of(network).gmac_per_lr_pixel * 1e6 == pytest.approx(
        choice.chosen.kilo_mac, abs=0.2
    )
    assert spec_of(create("edge", **spec_of(network).arguments)) == spec_of(network)
    assert resolve_target(found) == (found, None)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"device_profile": None}, "--device-profile F"),
        ({"student": "imdn"}, "--student imdn .*student_weights"),
        ({"scale": 2}, "scale=4, .* 2: .*--set scale=4"),
        ({"student_arguments": {"window": 3}}, "window=5, .* 3: .*--set window=5"),
    ],
)
def test_contradictions_are_refused(
    config: DistillConfig, changed: dict[str, object], message: str
) -> None:
    with pytest.raises((ValueError, MismatchError), match=message):
        resolve_target(replace(config, **changed))  # type: ignore[arg-type]


def test_the_command_says_its_choice_before_it_plans(config: DistillConfig, tmp_path: Path) -> None:
    shutil.copy(SAMPLE_CLIP, tmp_path / "clip.mp4")
    arguments = ["distill", "--data", str(tmp_path), "--objective", "none", "--dry-run"]
    arguments += ["--target-latency", "20", "--shape", "90x160"]
    arguments += ["--device-profile", str(config.device_profile), "--set", "batch=1"]
    result = CliRunner().invoke(main, [*arguments, "--set", "patch=32"])
    assert result.exit_code == 0, result.output
    assert "20 ms at 90x160 (HxW) on made up" in result.stderr
    assert "student    edge: " in result.stdout
    wrong = CliRunner().invoke(main, [*arguments[:-1], "patch=32", "--shape", "90"])
    assert wrong.exit_code == 2
    assert "HxW" in wrong.output
