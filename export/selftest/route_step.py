"""Step 6: the other ways to a GPU: ONNX Runtime's providers, TensorRT for RTX, NVENC and NVDEC.

Last, a video is upscaled with frames that stay on the GPU, and compared with the same through host
memory.
"""

from __future__ import annotations

import tempfile
from contextlib import closing
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.export.config import ExportConfig, Size
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.runs.exporting import export
from vsrc.export.selftest.build_step import PACKAGE, SHAPES, USUAL_SIZE, find_backend, work_package
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.result import ROUND_TRIPS
from vsrc.runtime.decode.hardware_decoder import hardware_opener
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import HardwareError, MissingDependencyError, VsrcError
from vsrc.runtime.installation import is_jetson_board
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels8, to_8_bits

STAYS = "frames that stay on the GPU"
"""Name of the check."""
_VIDEO_SIZE: Size = (96, 160)
"""H and W of its source, LR pixels; NVDEC and NVENC take no smaller frames."""
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
    for codec, (name, pix_fmt) in ROUND_TRIPS.items():
        with context.attempt(name) as said:
            said.append(_round_trip(context, codec, pix_fmt))
    with context.attempt(STAYS) as said:
        said.append(_stay_on_device(context))


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


def _round_trip(context: Context, codec: str, pix_fmt: str) -> str:
    """Encode real frames on the GPU, and decode them there and on the CPU: both must be equal."""
    import av

    if is_jetson_board():
        raise MissingDependencyError("a Jetson's are not NVENC and NVDEC of desktop GPUs")
    frames = real_window(24, height=192, width=320)[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "round-trip.mkv"
        try:
            _encode(path, frames, codec, pix_fmt)
        except (av.FFmpegError, ValueError) as error:
            raise MissingDependencyError(f"{codec}: {error}") from error
        expected, found = _decode(path, None), _decode(path, context.device)
    if not len(frames) == len(expected) == len(found):
        raise VsrcError(
            f"{len(frames)} frames were encoded, the CPU decodes {len(expected)} of them, NVDEC "
            f"{len(found)}"
        )
    differing = sum(
        not np.array_equal(one, other) for one, other in zip(expected, found, strict=True)
    )
    if differing:
        raise VsrcError(f"NVDEC decodes {differing} of {len(frames)} frames to other samples")
    squared = float(np.mean(np.square(np.stack(found).astype(np.float64) - frames)))
    psnr = float(10 * np.log10(255.0**2 / max(squared, 1e-9)))
    if psnr < _LEAST_DB:
        raise VsrcError(f"{psnr:.1f} dB after encoding and decoding")
    return f"{len(found)} frames, equal to those that the CPU decodes, {psnr:.1f} dB"


def _stay_on_device(context: Context) -> str:
    """Upscale a video with frames on the GPU, and through host memory: both must be alike."""
    (name, _) = ROUND_TRIPS["h264_nvenc"]
    if not any(check.name == name and check.state == "passed" for check in context.checks):
        raise MissingDependencyError(f"it needs the {name}")
    backend = find_backend(quick=False)
    package = work_package(context.work / "video", PACKAGE)
    shape = (_VIDEO_SIZE,)
    asked = ExportConfig(package, format=backend, shape=shape, halves=False, video=True)
    export(replace(asked, device=context.device))
    source = context.work / "video.mkv"
    _encode(source, real_window(24, height=_VIDEO_SIZE[0], width=_VIDEO_SIZE[1])[0], "libx264")
    results: list[NDArray[np.float64]] = []
    notes: list[str] = []
    for hwaccel in ("none", "cuda"):
        config = InferConfig(
            (source,),
            context.work / f"video-{hwaccel}.mkv",
            model=package,
            backend=backend,
            precision="fp32",
            device=context.device,
            hwaccel=hwaccel,
            codec="nvenc",
            crf=12,
        )
        infer(config, progress=lambda now: notes.extend(now.notes))
        results.append(np.stack(_decode(config.output, None)).astype(np.float64))
    if not any("frames stay there" in note for note in notes):
        raise VsrcError("; ".join(dict.fromkeys(note for note in notes if "NVDEC" in note)))
    squared = float(np.mean(np.square(results[0] - results[1])))
    psnr = float(10 * np.log10(255.0**2 / max(squared, 1e-9)))
    if psnr < _LEAST_DB:
        raise VsrcError(f"{psnr:.1f} dB between the two results")
    return f"{len(results[1])} frames, {psnr:.1f} dB from those through host memory"


def _decode(path: Path, device: int | None) -> list[Pixels8]:
    """Decode as `vsrc infer` does: on the CPU, or with NVDEC of a device."""
    with closing(VideoReader(path)) as reader:
        if device is not None:
            try:
                reader.decode_with(hardware_opener(reader.info, device))
            except HardwareError as error:
                raise MissingDependencyError(f"NVDEC: {error}") from error
        return [to_8_bits(frame.rgb) for frame in reader]


def _encode(path: Path, frames: Pixels8, codec: str, pix_fmt: str = "yuv420p") -> None:
    import av

    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(25))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], pix_fmt
        stream.options = {"rc": "constqp", "qp": "12"}
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
