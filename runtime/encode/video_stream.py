"""Set up the video stream of an output: encoder, time base, pixel aspect, colours, rotation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode import avi
from vsrc.runtime.encode.codec_choice import choose_codec
from vsrc.runtime.encode.device_encoder import create_device_encoder
from vsrc.runtime.encode.encoders import Encoder, encoder_options, find_encoder, pixel_format
from vsrc.runtime.encode.muxers import MOV_FAMILY, WITHOUT_STAMPS
from vsrc.runtime.encode.refusal import describe_held
from vsrc.runtime.errors import MediaError, MissingDependencyError
from vsrc.runtime.picture.colour import Colour, result_colour
from vsrc.runtime.picture.device_planes import SEMI_PLANAR
from vsrc.runtime.picture.orientation import CODED, Orientation
from vsrc.runtime.processes.scheduling import keep_scheduling

if TYPE_CHECKING:
    import av
    from av.container import OutputContainer

_TURNING = MOV_FAMILY | {"matroska"}
"""Containers that can store a display matrix, by which players rotate the video."""

_THREADS = 8
"""Default threads of an encoder; not the number of cores, so that bytes are reproducible."""


@dataclass(frozen=True)
class VideoSettings:
    """Encoding options of the result.

    Attributes:
        codec: Short name or FFmpeg's name of the encoder; None for the container's default.
        crf: Constant quality, or None for the encoder's default.
        preset: Encoder preset, or None for the encoder's default.
        threads: Threads of the encoder; 0 for a default that is the same on every machine, since
            x264's bytes depend on it.
        scale: Side ratio of the result to the source.
        time_scale: Frame rate ratio of the result to the source: 1 or 2.
        is_excerpt: Whether the result is an excerpt, shifted to the start time of the source.
        is_deep: Whether the network sees more than 8 bits of each sample.
        audio: What happens to audio: `copy` where the container can hold it, `encode` or `drop`.
        reorders: Whether frames may be stored in another order than they are shown in.
        device: Index of the CUDA device in whose memory the encoder takes frames; None for host
            memory.
    """

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    threads: int = 0
    scale: int = 1
    time_scale: int = 1
    is_excerpt: bool = False
    is_deep: bool = True
    audio: str = "copy"
    reorders: bool = True
    device: int | None = None


@dataclass(frozen=True)
class EncodedStream:
    """An open encoder, and the format of the frames that it needs.

    Attributes:
        stream: Stream of the output.
        colour: Matrix and range of its YUV.
        time_base: Unit of the frames' time stamps, seconds.
        depth: Bits per sample that were aimed at; the encoder may have fewer.
        pix_fmt: FFmpeg's name of the pixel format of its frames.
        orientation: What to apply to the frames where the container has no display matrix.
        fresh: Function that opens another encoder with the same settings.
    """

    stream: av.VideoStream
    colour: Colour
    time_base: Fraction
    depth: int
    pix_fmt: str
    orientation: Orientation
    fresh: Callable[[], av.VideoCodecContext]


@dataclass(frozen=True)
class StreamPlan:
    """The encoder of a result, and what it is given.

    Attributes:
        encoder: Encoder.
        codec: The same, as FFmpeg lists it.
        depth: Bits per sample that are aimed at.
        pix_fmt: FFmpeg's name of the pixel format.
        colour: Matrix and range of its YUV.
        orientation: What to apply to the frames where the container has no display matrix.
        size: Width and height of the frames, pixels.
    """

    encoder: Encoder
    codec: av.Codec
    depth: int
    pix_fmt: str
    colour: Colour
    orientation: Orientation
    size: tuple[int, int]


def plan_stream(muxer: str, info: VideoInfo, settings: VideoSettings) -> StreamPlan:
    """Choose encoder and pixel format of a result.

    Raises:
        MediaError: The encoder does not support the frames.
        MissingDependencyError: This build of FFmpeg has no such encoder.
    """
    choice = choose_codec(settings.codec, muxer, info, is_deep=settings.is_deep)
    encoder, codec = find_encoder(choice.codec)
    orientation = CODED if muxer in _TURNING else info.orientation
    width, height = orientation.size(info.width * settings.scale, info.height * settings.scale)
    pix_fmt = pixel_format(info, codec, width=width, height=height, depth=choice.depth)
    colour = result_colour(
        info.colour, is_rgb=info.is_rgb, size=(info.width, info.height), scale=settings.scale
    )
    return StreamPlan(encoder, codec, choice.depth, pix_fmt, colour, orientation, (width, height))


def add_video_stream(
    container: OutputContainer, info: VideoInfo, settings: VideoSettings
) -> EncodedStream:
    """Add the video stream to an output and open its encoder.

    Raises:
        MediaError: The container or the encoder does not support it.
        MissingDependencyError: This build of FFmpeg has no such encoder, or no GPU for it.
    """
    import av

    muxer = container.format.name
    plan = plan_stream(muxer, info, settings)
    encoder, (width, height) = plan.encoder, plan.size
    aspect = info.sample_aspect_ratio
    if plan.orientation.swaps_sides:
        aspect = 1 / aspect if aspect else None
    options = encoder_options(
        encoder, crf=settings.crf, preset=settings.preset, width=width, hdr=info.hdr
    )
    has_grid = muxer in WITHOUT_STAMPS
    is_avi = muxer == avi.MUXER
    rate = ((info.grid or info.rate) if is_avi else info.rate) * settings.time_scale
    try:
        stream = container.add_stream(encoder.name, rate=rate, options=options)
    except ValueError as error:
        raise MediaError(
            f"{muxer} cannot hold {plan.codec.canonical_name}; {describe_held(container)}"
        ) from error
    assert isinstance(stream, av.VideoStream)  # find_encoder returns no other
    time_base = 1 / rate if has_grid else info.time_base / settings.time_scale
    stream.time_base, flags = time_base, stream.codec_context.flags

    def configure(context: av.VideoCodecContext, pix_fmt: str) -> None:
        _configure(context, (width, height, pix_fmt), aspect, plan.colour, settings.threads)
        context.time_base = time_base
        if has_grid or not settings.reorders:
            context.max_b_frames = 0  # their order of display is not stored
        if encoder.name == "libx265" and muxer in MOV_FAMILY:
            context.codec_tag = "hvc1"  # Apple's players support no other

    on_device = plan.pix_fmt if settings.device is None else SEMI_PLANAR[plan.pix_fmt]

    def fresh() -> av.VideoCodecContext:
        context = _create(encoder.name, settings.device)
        context.options, context.framerate = dict(options), rate
        context.flags |= flags
        configure(context, on_device)
        _open_keeping_scheduling(context)
        return context

    configure(stream.codec_context, plan.pix_fmt)
    if info.display_matrix and muxer in _TURNING:
        stream.set_display_matrix(_scale_matrix(info.display_matrix, settings.scale))
    _open(stream, f"{encoder.name} refuses {width}x{height} {plan.pix_fmt}", options)
    return EncodedStream(
        stream, plan.colour, time_base, plan.depth, on_device, plan.orientation, fresh
    )


def _create(name: str, device: int | None) -> av.VideoCodecContext:
    """Create a context of an encoder, which takes frames in the memory of a device if one is given.

    Raises:
        HardwareError: It takes none.
    """
    import av

    if device is not None:
        return create_device_encoder(name, device)
    context = av.VideoCodecContext.create(name, "w")
    assert isinstance(context, av.VideoCodecContext)
    return context


def _configure(
    context: av.VideoCodecContext,
    shape: tuple[int, int, str],
    aspect: Fraction | None,
    colour: Colour,
    threads: int,
) -> None:
    from av.codec.context import Flags, ThreadType

    context.width, context.height, context.pix_fmt = shape
    if aspect:
        context.sample_aspect_ratio = aspect
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer
    context.colorspace, context.color_range = colour.matrix, colour.range
    context.thread_count = threads or _THREADS
    # PyAV enables slice threading by default, with which x264 splits each frame: a larger file.
    context.thread_type = ThreadType.FRAME
    context.flags |= int(Flags.frame_duration)


def _open(stream: av.VideoStream, refusal: str, options: dict[str, str]) -> None:
    import av

    try:
        _open_keeping_scheduling(stream.codec_context)
    except (av.FFmpegError, ValueError) as error:
        name = stream.codec_context.name
        if isinstance(error, PermissionError) and name.endswith("_nvenc"):
            raise MissingDependencyError(
                f"{name} needs an NVIDIA GPU and its driver, which FFmpeg cannot load; "
                "'vsrc doctor' shows what is there; --codec x264, x265 or av1 encode on the CPU"
            ) from error
        asked = (
            ", ".join(
                f"{name}={value}"
                for name, value in options.items()
                if name in ("crf", "cq", "preset")
            )
            or "no options"
        )
        reason = getattr(error, "strerror", None) or error
        raise MediaError(
            f"{refusal} with {asked} at {stream.time_base} s ({reason}); choose another --codec, "
            "--crf or --preset"
        ) from error


def _open_keeping_scheduling(context: av.VideoCodecContext) -> None:
    with keep_scheduling():
        context.open()


def _scale_matrix(matrix: tuple[int, ...], scale: int) -> list[int]:
    """Scale a display matrix: X and Y of (a b u, c d v, X Y w) are in pixels."""
    return [value * scale if place in (6, 7) else value for place, value in enumerate(matrix)]
