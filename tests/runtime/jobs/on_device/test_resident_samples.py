"""Frames that stay on the device have the samples of the same graphs on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.resident_runs import STAYS, clip_of, notes, upscale
from support.resident_video import Hardware
from support.software_nvdec import samples, semi_planar
from vsrc.export.graphs.colour_graphs import colour_graph
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.colour_matrix import Affine, rgb_from_yuv, yuv_from_rgb

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

Make = Callable[..., Any]
Bytes = NDArray[np.uint8]


def planes(frame: av.VideoFrame) -> tuple[Bytes, Bytes]:
    """Y and UV of NV12 or P010 in the shapes of the graphs."""
    item = 2 if frame.format.name == "p010le" else 1
    kind = np.dtype("<u2" if item == 2 else "u1")
    ends = (item,) if item == 2 else ()
    luma, chroma = (np.ascontiguousarray(samples(p, kind, frame.width)) for p in frame.planes)
    height, width = luma.shape
    return (
        luma.view(np.uint8).reshape(height, width, *ends),
        chroma.view(np.uint8).reshape(height // 2, width // 2, 2, *ends),
    )


def on_cpu(name: str, colour: Affine, feeds: dict[str, Bytes]) -> list[Bytes]:
    import onnxruntime

    session = onnxruntime.InferenceSession(colour_graph(name).SerializeToString())
    numbers = {"matrix": colour.matrix, "offset": colour.offset[:, 0]}
    found: list[Bytes] = session.run(None, feeds | numbers)
    return found


def expected_planes(source: Path, package: Path, precision: str) -> list[list[Bytes]]:
    """What the graphs make of the frames of a source, one after the other, without cuts."""
    with av.open(str(source)) as container:
        decoded = [semi_planar(frame) for frame in container.decode(video=0)]
    name = "p010" if decoded[0].format.name == "p010le" else "nv12"
    depth = 10 if name == "p010" else 8
    to_rgb = rgb_from_yuv(6, depth=depth, is_full=False, white=255)  # SD is BT.601
    rgb = []
    for frame in decoded:
        y, uv = planes(frame)
        rgb += on_cpu(f"{name}-to-rgb-left", to_rgb, {"y": y, "uv": uv})
    session = open_package(package).session(backend="ort", precision=precision, threads=1)
    last = len(rgb) - 1
    made = []
    for at in range(len(rgb)):
        window = np.stack([rgb[min(max(near, 0), last)] for near in (at - 1, at, at + 1)])
        from_rgb = yuv_from_rgb(6, depth=depth, is_full=False, white=255)
        (sr,) = session(window[None])
        made.append(on_cpu(f"rgb-to-{name}-left", from_rgb, {"rgb": sr}))
    return made


def found_planes(result: Path) -> list[tuple[Bytes, Bytes]]:
    with av.open(str(result)) as container:
        return [planes(semi_planar(frame)) for frame in container.decode(video=0)]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_the_graphs_alone_make_the_same_samples(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    hardware: Hardware,
    precision: str,
) -> None:
    source = clip_of(write_clip, moving, tmp_path / "a.mp4", sound=True)
    result = upscale(source, package, tmp_path / "b.mkv", precision=precision, cuts=False)
    assert STAYS in notes()
    assert result.frames == 24
    found = found_planes(tmp_path / "b.mkv")
    expected = expected_planes(source, package, precision)
    for one, other in zip(found, expected, strict=True):
        for here, there in zip(one, other, strict=True):
            np.testing.assert_array_equal(here, there)
    layouts = {layout for encoder in hardware.encoders for layout in encoder.layouts}
    assert layouts == {"nv12"}  # none went through host memory
    assert hardware.memory.freed == 24


def test_ten_bits_stay_on_the_device(
    tmp_path: Path, write_clip: Make, moving: Make, package: Path, hardware: Hardware
) -> None:
    options = {"x265-params": "log-level=error:keyint=8"}
    source = clip_of(
        write_clip,
        moving,
        tmp_path / "a.mkv",
        codec="libx265",
        pix_fmt="yuv420p10le",
        options=options,
    )
    upscale(source, package, tmp_path / "b.mkv", cuts=False)
    assert STAYS in notes()
    found = found_planes(tmp_path / "b.mkv")
    for one, other in zip(found, expected_planes(source, package, "fp32"), strict=True):
        for here, there in zip(one, other, strict=True):
            np.testing.assert_array_equal(here, there)
    assert {layout for each in hardware.encoders for layout in each.layouts} == {"p010le"}


def test_what_reduced_precision_has_spoilt_is_computed_again(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    package: Path,
    hardware: Hardware,
    overflows: list[bool],
) -> None:
    overflows.append(True)
    source = clip_of(write_clip, moving, tmp_path / "a.mp4")
    result = upscale(source, package, tmp_path / "b.mkv", precision="fp16", cuts=False)
    assert STAYS in notes()
    assert 0 < result.recomputed_frames < 12
    assert result.corrupted_frames == 0
    expected = expected_planes(source, package, "fp32")
    for one, other in zip(found_planes(tmp_path / "b.mkv"), expected, strict=True):
        assert np.abs(one[0].astype(int) - other[0]).max() <= 3  # fp16, and swscale's rounding
    assert hardware.encoders
