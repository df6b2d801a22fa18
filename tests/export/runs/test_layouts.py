"""Float graphs with four axes: of image networks by default, of windows with stacked frames."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from vsrc.compressor.networks import create
from vsrc.export.config import ExportConfig
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.ort import OrtSession
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import sample_frames


def axes_inside(path: Path) -> set[int]:
    """Numbers of axes of all float values of a graph."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(path)).graph
    values = (*graph.input, *graph.output, *graph.value_info)
    return {
        len(value.type.tensor_type.shape.dim)
        for value in values
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }


def picture_of(package: Path, name: str) -> np.ndarray:
    opened = open_package(package)
    path, graph = opened.graph(name)
    session = OrtSession(path, network=opened.spec.network, graph=graph)
    window = opened.spec.network.window
    return session(sample_frames(window)[None, :, 100:132, 100:148])


def test_an_image_network_takes_pictures_of_four_axes(pack: Callable[..., Path]) -> None:
    package = pack(create("etds", features=8, blocks=1, scale=2))
    export(ExportConfig(package))
    (four,) = export(ExportConfig(package, io="float")).graphs
    assert (four.name, four.graph.layout) == ("fp32-float", "stacked")
    assert axes_inside(four.file) == {4}
    np.testing.assert_array_equal(picture_of(package, "fp32-float"), picture_of(package, "fp32"))
    (five,) = export(ExportConfig(package, io="float", layout="window", overwrite=True)).graphs
    assert five.graph.layout == "window"
    assert len(onnx.load(five.file).graph.input[0].type.tensor_type.shape.dim) == 5
    np.testing.assert_array_equal(picture_of(package, "fp32-float"), picture_of(package, "fp32"))


def test_a_student_takes_stacked_frames_without_a_fifth_axis(
    tiny_package: Path, copy: Path
) -> None:
    (stacked,) = export(ExportConfig(copy, io="float", layout="stacked")).graphs
    assert (stacked.name, stacked.graph.layout) == ("fp32-stacked", "stacked")
    assert max(axes_inside(stacked.file)) == 4
    assert stacked.graph.psnr_db is None or stacked.graph.psnr_db > 90
    wanted = picture_of(tiny_package, "fp32").astype(int)
    assert np.abs(picture_of(copy, "fp32-stacked") - wanted).max() <= 1


def test_pictures_have_one_layout() -> None:
    with pytest.raises(ValueError, match="--layout is for float frames: add --io float"):
        ExportConfig(Path("a.vsrc"), layout="stacked")
