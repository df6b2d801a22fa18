"""Step 6: the other ways to a GPU: ONNX Runtime's providers, TensorRT for RTX, NVENC and NVDEC."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from pathlib import Path

import numpy as np

from vsrc.export.config import ExportConfig
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.runs.exporting import export
from vsrc.export.selftest.build_step import PACKAGE, SHAPES, USUAL_SIZE, find_backend, work_package
from vsrc.export.selftest.context import Context
from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.installation import is_jetson_board
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels8

_LEAST_DB = 30.0
"""PSNR of frames after NVENC and NVDEC; at the quality asked for it is far above."""


def try_routes(context: Context) -> None:
    """Try each route; what is not installed is skipped with its reason."""
    package = open_package(work_package(context.work, PACKAGE))
    window = real_window(3, height=USUAL_SIZE[0], width=USUAL_SIZE[1])
    expected = package.session(backend="ort", precision="fp32")(window)
    for backend in ("ort-cuda", "ort-tensorrt"):
        with context.attempt(backend) as said:
            session = package.session(backend=backend, precision="fp32", device=context.device)
            said.append(_difference(session(window), expected))
            session.close()
    if not _is_rtx_tried(quick=context.quick):
        with context.attempt("trt-rtx") as said:
            said.append(_try_rtx(context, window, expected))
    with context.attempt("NVENC and NVDEC round trip") as said:
        said.append(_round_trip(context))


def _is_rtx_tried(*, quick: bool) -> bool:
    """Whether the engines of the steps before are of TensorRT for RTX."""
    try:
        return find_backend(quick=quick) == "trt-rtx"
    except MissingDependencyError:
        return False


def _difference(found: Pixels8, expected: Pixels8) -> str:
    largest = int(np.abs(found.astype(np.int16) - expected).max())
    if largest > 2:
        raise VsrcError(f"pictures differ by {largest} of 255 from the CPU's")
    return f"largest difference {largest} of 255"


def _try_rtx(context: Context, window: Pixels8, expected: Pixels8) -> str:
    if is_jetson_board():
        raise MissingDependencyError("TensorRT for RTX is for desktop GPUs")
    path = work_package(context.work / "rtx", PACKAGE)
    export(
        ExportConfig(
            path,
            format="trt-rtx",
            precision="fp32",
            shape=SHAPES["fixed"],
            halves=False,
            device=context.device,
        )
    )
    session = open_package(path).session(backend="trt-rtx", precision="fp32", device=context.device)
    text = _difference(session(window), expected)
    session.close()
    return text


def _round_trip(context: Context) -> str:
    """Encode real frames on the GPU, decode them there, and compare."""
    import av
    from av.codec.hwaccel import HWAccel

    if is_jetson_board():
        raise MissingDependencyError("a Jetson's are not NVENC and NVDEC of desktop GPUs")
    frames = real_window(24, height=192, width=320)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "round-trip.mkv"
        try:
            _encode(path, frames)
        except av.FFmpegError as error:
            raise MissingDependencyError(f"NVENC: {error}") from error
        try:
            hardware = HWAccel("cuda", device=context.device, allow_software_fallback=False)
            with av.open(str(path), hwaccel=hardware) as container:
                found = [one.to_ndarray(format="rgb24") for one in container.decode(video=0)]
        except (av.FFmpegError, RuntimeError) as error:
            raise MissingDependencyError(f"NVDEC: {error}") from error
    if len(found) != len(frames):
        raise VsrcError(f"{len(frames)} frames were encoded, and {len(found)} decoded")
    squared = float(np.mean(np.square(np.stack(found).astype(np.float64) - frames)))
    psnr = float(10 * np.log10(255.0**2 / max(squared, 1e-9)))
    if psnr < _LEAST_DB:
        raise VsrcError(f"{psnr:.1f} dB after encoding and decoding")
    return f"{len(found)} frames, {psnr:.1f} dB"


def _encode(path: Path, frames: Pixels8) -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264_nvenc", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], "yuv420p"
        stream.options = {"rc": "constqp", "qp": "12"}
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
