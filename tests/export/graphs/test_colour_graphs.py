"""Conversions between the frames of a GPU's codecs and RGB, judged by what the CPU path makes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.optional import skip_without
from vsrc.export.graphs.colour_graphs import GRAPHS, colour_graph
from vsrc.runtime.picture.colour import Colour, ToRgb
from vsrc.runtime.picture.colour_matrix import Affine, rgb_from_yuv, yuv_from_rgb
from vsrc.runtime.picture.deep_colour import frame_maker

Bytes = NDArray[np.uint8]

SIZES = ((38, 54), (16, 16))
COLOURS = [(matrix, kind) for matrix in (1, 6, 9) for kind in (1, 2)]
BACK = [name for name in GRAPHS if name.startswith("rgb-")]
FORTH = [name for name in GRAPHS if name.endswith(("to-rgb-left", "to-rgb-centre"))]


def opened(name: str) -> Callable[[dict[str, Any]], dict[str, Bytes]]:
    skip_without("onnxruntime")
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(colour_graph(name).SerializeToString(), options)
    names = [output.name for output in session.get_outputs()]
    return lambda feeds: dict(zip(names, session.run(names, feeds), strict=True))


def pictures(size: tuple[int, int]) -> list[Bytes]:
    """Noise of three grains, and edges of full contrast."""
    rng = np.random.default_rng(size[0])
    height, width = size
    made = []
    for grain in (1, 3, 8):
        coarse = rng.integers(0, 256, (-(-height // grain), -(-width // grain), 3), dtype=np.uint8)
        made.append(coarse.repeat(grain, 0).repeat(grain, 1)[:height, :width])
    edges = np.zeros((height, width, 3), np.uint8)
    edges[::5, :, 0] = edges[:, ::7, 1] = edges[height // 2 :, width // 2 :, 2] = 255
    return [*made, edges]


def layout_of(name: str) -> tuple[str, int, bool]:
    """Pixel format, depth, and whether chroma lies to the left."""
    is_deep = "p010" in name
    return ("p010le", 10, name.endswith("left")) if is_deep else ("nv12", 8, name.endswith("left"))


def planes_of(frame: av.VideoFrame) -> tuple[Bytes, Bytes]:
    """The bytes of both planes in the shapes of the graphs."""
    item = 2 if frame.format.name == "p010le" else 1
    found = []
    for plane, shape in zip(
        frame.planes, ((frame.height, frame.width), (frame.height // 2, frame.width)), strict=True
    ):
        view = np.ndarray(
            (shape[0], shape[1] * item),
            np.uint8,
            buffer=memoryview(plane),
            strides=(plane.line_size, 1),
        )
        found.append(view.copy())
    ends = (item,) if item == 2 else ()
    luma, chroma = found
    return (
        luma.reshape(frame.height, frame.width, *ends),
        chroma.reshape(frame.height // 2, frame.width // 2, 2, *ends),
    )


def fill(frame: av.VideoFrame, planes: tuple[Bytes, Bytes]) -> None:
    for plane, samples in zip(frame.planes, planes, strict=True):
        rows = samples.reshape(len(samples), -1)
        target = np.ndarray(
            rows.shape, np.uint8, buffer=memoryview(plane), strides=(plane.line_size, 1)
        )
        target[:] = rows


def values(samples: Bytes, depth: int) -> NDArray[np.int32]:
    if depth == 8:
        return samples.astype(np.int32)
    words = samples.view("<u2")[..., 0]
    assert (words & 63 == 0).all()  # P010 has zeros below its 10 bits
    return (words >> 6).astype(np.int32)


def feeds_of(affine: Affine) -> dict[str, NDArray[np.float32]]:
    return {"matrix": affine.matrix, "offset": affine.offset[:, 0]}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", BACK)
def test_frames_for_the_encoder_are_those_of_the_cpu(name: str, size: tuple[int, int]) -> None:
    pix_fmt, depth, is_left = layout_of(name)
    run = opened(name)
    for matrix, kind in COLOURS:
        affine = yuv_from_rgb(matrix, depth=depth, is_full=kind == 2, white=255)
        maker = frame_maker(
            Colour(1, 1, matrix, kind),
            width=size[1],
            height=size[0],
            pix_fmt=pix_fmt,
            is_left=is_left,
        )
        for rgb in pictures(size):
            given = run({"rgb": rgb, **feeds_of(affine)})
            for found, expected in zip(
                (given["y"], given["uv"]), planes_of(maker(rgb)), strict=True
            ):
                difference = values(found, depth) - values(expected, depth)
                assert np.abs(difference).max() <= 2 ** (depth - 8)  # 1 of 255


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FORTH)
def test_pictures_for_the_network_are_those_of_the_cpu(name: str, size: tuple[int, int]) -> None:
    pix_fmt, depth, is_left = layout_of(name)
    run = opened(name)
    for matrix, kind in COLOURS:
        colour = Colour(1, 1, matrix, kind)
        affine = rgb_from_yuv(matrix, depth=depth, is_full=kind == 2, white=255)
        maker = frame_maker(colour, width=size[1], height=size[0], pix_fmt=pix_fmt, is_left=is_left)
        to_rgb = ToRgb(colour, width=size[1], height=size[0], is_left=is_left)
        for rgb in pictures(size):
            frame = av.VideoFrame(size[1], size[0], pix_fmt)  # without tags of another path
            y, uv = planes_of(maker(rgb))
            fill(frame, (y, uv))
            found = run({"y": y, "uv": uv, **feeds_of(affine)})["rgb"]
            expected = to_rgb(frame)
            assert np.abs(found.astype(np.int32) - expected).max() <= 1


@pytest.mark.parametrize("name", GRAPHS)
def test_types_are_those_that_tensorrt_takes(name: str) -> None:
    onnx = pytest.importorskip("onnx")
    model = colour_graph(name)
    onnx.checker.check_model(model, full_check=True)
    graph = model.graph
    outside = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    assert {outside[key] for key in outside if key in ("y", "uv", "rgb")} == {
        onnx.TensorProto.UINT8
    }
    # Bytes are cast at once, and made by the last node: NVIDIA's parser takes uint8 nowhere else.
    for node in graph.node:
        if {"y", "uv", "rgb"} & set(node.input) or {"y", "uv", "rgb"} & set(node.output):
            assert node.op_type == "Cast"
    assert {value.type.tensor_type.elem_type for value in graph.output} == {onnx.TensorProto.UINT8}
