"""Keep the frames of an input on the GPU, from its decoder through the network to its encoder.

    NVDEC --> NV12, P010 --> RGB --> network --> NV12, P010 --> NVENC
                              └--> host memory: cuts, and what must be computed again

Where that is not possible, frames go through host memory; `open_device_path` says why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from vsrc.runtime.backends.device.device_frames import DeviceFrames
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.device_video import DeviceVideo, VideoEngines
from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.engines import ENGINE_BACKENDS, this_device
from vsrc.runtime.backends.device.surfaces import SurfacePool
from vsrc.runtime.backends.device.video_engines import open_from_rgb, open_guard, open_to_rgb
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.device_encoder import DEVICE_ENCODERS, create_device_encoder
from vsrc.runtime.encode.muxers import muxer_of
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.encode.video_stream import StreamPlan, VideoSettings, plan_stream
from vsrc.runtime.errors import HardwareError, MediaError, MissingDependencyError, VsrcError
from vsrc.runtime.package import Package, advised_export
from vsrc.runtime.picture.device_colour import sample_map
from vsrc.runtime.picture.device_planes import (
    SAMPLE_BITS,
    SEMI_PLANAR,
    ResidentFrame,
    Surface,
)
from vsrc.runtime.picture.hdr import NO_HDR
from vsrc.runtime.picture.orientation import CODED
from vsrc.runtime.windows.session import Session

if TYPE_CHECKING:
    import av

    from vsrc.runtime.picture.colour_matrix import Affine

_LEAST_SIDE = 16
"""Smallest side of frames that the colour graphs take, pixels."""


class DevicePath:
    """Converts the frames of one input and upscales them; see `FrameConverter`, `DeviceUpscaler`.

    Whatever fails on the device is a `HardwareError`, so that the job can go on without it.
    """

    def __init__(self, frames: DeviceFrames, video: DeviceVideo) -> None:
        self._frames, self._video = frames, video

    def convert(self, frame: av.VideoFrame, to_rgb: Affine, /) -> ResidentFrame:
        """Convert a decoded frame; see `FrameConverter`."""
        with _hardware_failures():
            return self._frames(frame, to_rgb)

    def start(self, frames: Sequence[ResidentFrame], /) -> Callable[[], Surface | None]:
        """Start to upscale a window; see `DeviceUpscaler`."""
        with _hardware_failures():
            return self._video.start(frames)

    def close(self) -> None:
        """Free all resources of the device."""
        self._video.close()
        self._frames.close()


def plan_device_stream(
    target: Target, info: VideoInfo, settings: VideoSettings
) -> StreamPlan | None:
    """Return the encoder of a result if it can read frames on a device."""
    if target.is_pictures or target.is_pipe:
        return None
    try:
        plan = plan_stream(muxer_of(target.path), info, settings)
    except (MediaError, MissingDependencyError):  # the writer says so
        return None
    return plan if plan.encoder.name in DEVICE_ENCODERS else None


def open_device_path(
    package: Package,
    session: Session,
    info: VideoInfo,
    plan: StreamPlan,
    *,
    device: int,
) -> DevicePath:
    """Open what keeps the frames of an input on a device.

    Args:
        package: Package of the network, with the engines.
        session: Session of the network, not in tiles.
        info: Properties of the input, which NVDEC decodes.
        plan: Encoder of the result.
        device: Index of the CUDA device.

    Raises:
        HardwareError: That is not possible; the message is the reason.
    """
    obstacle = _find_obstacle(session, info, plan)
    if obstacle:
        raise HardwareError(obstacle)
    assert isinstance(session, DeviceSession)  # all others are an obstacle
    try:
        with _hardware_failures(MissingDependencyError):
            create_device_encoder(plan.encoder.name, device)
            return _open(package, session, info, plan, device)
    except MissingDependencyError as error:
        size = f"{info.height}x{info.width}"
        line = advised_export(package.path, f"--format {_backend(session)} --shape {size} --video")
        raise HardwareError(f"{error}; build it: {line}") from error


@contextmanager
def _hardware_failures(*besides: type[VsrcError]) -> Iterator[None]:
    """Turn all errors of vsrc but `besides` into a `HardwareError`."""
    try:
        yield
    except VsrcError as error:
        if isinstance(error, (HardwareError, *besides)):
            raise
        raise HardwareError(str(error)) from error


def _find_obstacle(session: Session, info: VideoInfo, plan: StreamPlan) -> str:
    """Why the frames go through host memory; empty if nothing is in the way."""
    network, size = session.network, (info.height, info.width)
    if not isinstance(session, DeviceSession):
        return (
            f"{session.label} takes frames from host memory; engines of a whole network take them "
            "on the GPU (vsrc export --format trt --no-halves)"
        )
    if session.graph.io != "uint8" or network.time_scale != 1:
        return f"the engine of {network.name} does not make one frame in 8 bits of each"
    if info.colour.is_hdr or info.hdr != NO_HDR:
        return "the video is HDR"
    if plan.orientation is not CODED:
        return f"frames are turned for {plan.encoder.name} on the CPU"
    if plan.pix_fmt not in SEMI_PLANAR:
        return f"{plan.encoder.name} gets {plan.pix_fmt}, not 4:2:0"
    if any(side % 2 or side < _LEAST_SIDE for side in size):
        return f"{info.width}x{info.height} is odd, or less than {_LEAST_SIDE} pixels"
    if not session.takes_unpadded(size):
        return f"{info.width}x{info.height} must be padded for the engine"
    return ""


def _open(
    package: Package, session: DeviceSession, info: VideoInfo, plan: StreamPlan, device: int
) -> DevicePath:
    here = this_device(_backend(session), device)
    size, scale = (info.height, info.width), session.network.scale
    decoded, encoded = SEMI_PLANAR[info.pix_fmt], SEMI_PLANAR[plan.pix_fmt]
    upscaled = (size[0] * scale, size[1] * scale)
    from_rgb = sample_map(
        plan.colour, depth=SAMPLE_BITS[encoded], width=upscaled[1], height=upscaled[0]
    )
    with ExitStack() as opened:
        to_rgb = open_to_rgb(package, here, decoded, size, is_left=info.has_left_chroma)
        opened.callback(to_rgb.close)
        back = open_from_rgb(package, here, encoded, upscaled)
        opened.callback(back.close)
        guard = None
        if session.graph.precision != "fp32":
            guard = open_guard(package, here, scale, size)
            opened.callback(guard.close)
        opened.pop_all()
    gpu = session.gpu
    frames = DeviceFrames(gpu, to_rgb, device=device, layout=decoded, size=size)
    surfaces = SurfacePool(gpu, device=device, layout=encoded, size=upscaled)
    engines = VideoEngines(back, guard)
    video = DeviceVideo(session, engines, size=size, surfaces=surfaces, from_rgb=from_rgb)
    return DevicePath(frames, video)


def _backend(session: Session) -> EngineBackend:
    (name,) = (each for each in ENGINE_BACKENDS if each == session.label.split()[0])
    return name
