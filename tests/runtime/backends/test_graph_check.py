"""A package whose description is not that of its graph is refused before anything is written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from support.optional import skip_without
from vsrc.cli import main
from vsrc.runtime.backends.opening import open_session, open_video_session
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.windows.graph_io import check_output

Change = Callable[[dict[str, Any]], None]


def lying(package: Path, place: Path, change: Change) -> Path:
    """A copy of a package whose `model.json` was changed."""
    shutil.copytree(package, place)
    data = json.loads((place / "model.json").read_text())
    change(data)
    (place / "model.json").write_text(json.dumps(data))
    return place


def network(**values: object) -> Change:
    return lambda data: data["network"].update(values)


def graphs(**values: object) -> Change:
    return lambda data: [graph.update(values) for graph in data["graphs"].values()].clear()


LIES: dict[str, Change] = {
    "smaller scale": network(scale=1),
    "larger scale": network(scale=4),
    "longer window": network(window=5),
    "shorter window": network(window=1),
    "time_scale": network(time_scale=2),
    "float": graphs(io="float"),
    "stacked": graphs(io="float", layout="stacked"),
    "state": network(state=[{"name": "hidden", "channels": 8}]),
}


@pytest.mark.parametrize("kind", LIES)
@pytest.mark.parametrize("halves", [False, True])
def test_a_lie_is_found_when_the_graph_is_opened(
    tmp_path: Path, tiny_package: Path, halves_package: Path, kind: str, halves: bool
) -> None:
    path = lying(halves_package if halves else tiny_package, tmp_path / "p.vsrc", LIES[kind])
    opens = open_video_session if halves else open_session
    with pytest.raises((MismatchError, SpecError)):
        opens(open_package(path), backend="ort", precision="fp32")


@pytest.mark.parametrize("kind", LIES)
def test_nothing_is_written_with_a_lie(
    tmp_path: Path, tiny_package: Path, clip: Path, kind: str
) -> None:
    path = lying(tiny_package, tmp_path / "p.vsrc", LIES[kind])
    output = tmp_path / "out" / "a.mp4"
    arguments = ["infer", str(clip), "-m", str(path), "-o", str(output), "--backend", "ort"]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1, done.output
    assert done.stderr.splitlines()[-1].startswith("vsrc: ")
    assert not output.parent.exists()


RANGES: dict[str, Change] = {
    "scale 0": network(scale=0),
    "scale 17": network(scale=17),
    "window 65": network(window=65),
    "halo": network(halo=10**9),
    "huge halo": network(halo=10**400),
    "multiple": network(size_multiple=10**5),
    "parameters": network(parameters=-1),
    "gmac": network(gmac_per_lr_pixel=float("nan")),
    "infinite gmac": lambda data: data["network"].update(gmac_per_lr_pixel=1e308 * 10),
    "height": graphs(height=[10**9, 10**9]),
    "negative height": graphs(height=[-5, -1]),
    "turned": graphs(width=[100, 10]),
    "batch": graphs(batch=[0, 0]),
    "opset": graphs(opset=10**9),
    "frames": graphs(encoded_frames=-3),
    "more frames than the window": graphs(encoded_frames=60),
    "psnr": graphs(psnr_db=float("nan")),
    "size": graphs(size_bytes=-1),
    "stride": graphs(features=[{"name": "f", "channels": 8, "stride": 0}]),
    "channels": graphs(features=[{"name": "f", "channels": 10**9, "stride": 1}]),
    "quality": lambda data: data.update(
        quality=[{"data": "x", "metric": "psnr", "protocol": "y", "value": float("nan")}]
    ),
    "version": lambda data: data.update(schema_version=True),
    "old version": lambda data: data.update(schema_version=-1),
    "long name": graphs(file="a" * 5000),
    "surrogate": network(name="edge\ud800"),
}


@pytest.mark.parametrize("kind", RANGES)
def test_values_out_of_range_are_refused_when_they_are_read(
    tmp_path: Path, tiny_package: Path, kind: str
) -> None:
    path = lying(tiny_package, tmp_path / "p.vsrc", RANGES[kind])
    with pytest.raises(SpecError):
        open_package(path)
    done = CliRunner().invoke(main, ["inspect", str(path)])
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)


def test_a_key_that_occurs_twice_is_refused(tmp_path: Path, tiny_package: Path) -> None:
    path = lying(tiny_package, tmp_path / "p.vsrc", lambda _: None)
    text = (path / "model.json").read_text()
    (path / "model.json").write_text(text[:-1] + ', "degradation": "bd"}')
    with pytest.raises(SpecError, match="twice"):
        open_package(path)


def with_fixed_size(package: Path, height: int, width: int) -> Package:
    """Fix the size of the frames in the graph itself."""
    skip_without("onnx")
    import onnx

    path = package / "graphs" / "fp32.onnx"
    model = onnx.load(path)
    for axis, size in ((2, height), (3, width)):
        model.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = size
    del model.graph.output[0].type.tensor_type.shape.dim[:]
    del model.graph.value_info[:]
    onnx.save(model, path)
    data = json.loads((package / "model.json").read_text())
    data["graphs"]["fp32"].update(sha256=file_sha256(path), size_bytes=path.stat().st_size)
    (package / "model.json").write_text(json.dumps(data))
    return open_package(package)


def test_a_fixed_size_must_be_the_described_one(tmp_path: Path, tiny_package: Path) -> None:
    place = lying(tiny_package, tmp_path / "p.vsrc", lambda _: None)
    with pytest.raises(MismatchError, match=r"H=24, and its description means 2 to \d+"):
        open_session(with_fixed_size(place, 24, 32), backend="ort")


def test_each_output_is_checked_before_it_is_cropped(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    spec, graph = package.spec.network, package.spec.graphs["fp32"]
    like = np.zeros((1, 3, 20, 30, 3), np.uint8)
    check_output(np.zeros((1, 40, 60, 3), np.uint8), spec, graph, like=like)
    for shape in ((1, 80, 120, 3), (1, 40, 61, 3), (1, 3, 40, 60), (1, 5, 40, 60, 3)):
        with pytest.raises(MismatchError, match=r"\(40, 60, 3\)"):
            check_output(np.zeros(shape, np.uint8), spec, graph, like=like)
    with pytest.raises(MismatchError, match="float32"):
        check_output(np.zeros((1, 40, 60, 3), np.float32), spec, graph, like=like)
