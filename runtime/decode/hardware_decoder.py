"""Decode on the video decoder of an NVIDIA GPU (NVDEC), with frames in host memory or left there.

FFmpeg's own decoders parse the packets, so that side data, colour tags and time stamps of the
frames are those of the CPU path. The samples are the same by definition of the codecs. NVDEC
returns NV12 (8 bits) or P010 (10 bits); the frames get the pixel format that the CPU decodes to, so
that all that follows is the same, to the byte:

    packets --FFmpeg--> headers, stamps, side data
              NVDEC --> NV12, P010 --reordered--> yuv420p, yuv420p10le    in host memory
                        NV12, P010                                        on the device

What NVDEC does not give, the CPU does: it conceals no damage, and separates no fields.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vsrc.runtime.decode.packet_decoder import DecoderOpener
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.sources import is_stream
from vsrc.runtime.errors import HardwareError

if TYPE_CHECKING:
    from pathlib import Path

    import av
    from av.packet import Packet
    from av.stream import Stream

_FORMATS = {"yuv420p": "nv12", "yuvj420p": "nv12", "yuv420p10le": "p010le"}
"""FFmpeg's pixel format on the CPU -> that of frames of NVDEC."""

_DEPTHS = {
    "av1": (8, 10), "h264": (8,), "hevc": (8, 10), "mpeg1video": (8,), "mpeg2video": (8,),
    "mpeg4": (8,), "vc1": (8,), "vp8": (8,), "vp9": (8, 10), "wmv3": (8,),
}  # fmt: skip
"""FFmpeg's name of a codec -> bits per sample of the 4:2:0 video that NVDEC decodes; not every GPU
has all of them (NVIDIA, Video Encode and Decode GPU Support Matrix)."""


_TAG_LENGTH = 4
"""Characters of a codec tag (FourCC); some decoders read it."""


def find_obstacle(path: Path, info: VideoInfo) -> str:
    """Return why a video is decoded on the CPU whatever the GPU; empty if there is no reason."""
    if is_stream(path):
        return "a pipe cannot be read again from its beginning"
    if info.is_interlaced:
        return "the video is interlaced"
    if info.frame_data:
        return "its frames carry captions or other data"
    if info.depth not in _DEPTHS.get(info.codec, ()) or info.pix_fmt not in _FORMATS:
        return f"NVDEC does not decode {info.codec} with {info.pix_fmt}"
    return ""


def hardware_opener(info: VideoInfo, device: int, *, stays: bool = False) -> DecoderOpener:
    """Return what opens NVDEC for the passes over a video without an obstacle.

    Raises:
        HardwareError: FFmpeg cannot open the device.
    """
    _accelerated(info.codec, device, stays=stays)  # now, not when the work has begun

    def open_decoder(stream: av.VideoStream) -> HardwareDecoder:
        context = _accelerated(info.codec, device, stays=stays)
        return HardwareDecoder(stream, context, None if stays else info.pix_fmt)

    return open_decoder


def _accelerated(codec: str, device: int, *, stays: bool) -> av.VideoCodecContext:
    """Create a context of FFmpeg's own decoder: only those have NVDEC (dav1d has not)."""
    import av
    from av.codec.hwaccel import HWAccel

    try:
        # Frames that stay on the device are in the primary context, that of the CUDA runtime.
        accel = (
            HWAccel("cuda", device, allow_software_fallback=False, is_hw_owned=True)
            if stays
            else HWAccel("cuda", device, allow_software_fallback=False)
        )
    except TypeError as error:
        raise HardwareError("this PyAV leaves no frames of NVDEC on the device") from error
    try:
        context = av.CodecContext.create(av.Codec(codec, "r"), "r", accel)
    except (av.FFmpegError, NotImplementedError, ValueError) as error:
        reason = (
            "it loads no NVIDIA driver, or the driver finds no GPU"
            if isinstance(error, PermissionError)  # what FFmpeg calls any failure of the driver
            else getattr(error, "strerror", None) or error
        )
        raise HardwareError(
            f"FFmpeg cannot open NVDEC on CUDA device {device}: {reason}"
        ) from error
    assert isinstance(context, av.VideoCodecContext)  # of a video codec
    if not context.is_hwaccel:
        raise HardwareError(f"the FFmpeg inside PyAV has no NVDEC for {codec}")
    return context


class HardwareDecoder:
    """NVDEC; see `PacketDecoder`."""

    conceals_damage = False

    def __init__(
        self, stream: av.VideoStream, context: av.VideoCodecContext, pix_fmt: str | None
    ) -> None:
        """Args: `pix_fmt` is the format that the CPU decodes to; None for frames as they are."""
        self._context, self._pix_fmt = context, pix_fmt
        source = stream.codec_context
        context.extradata = source.extradata
        context.width, context.height = source.width, source.height
        if len(source.codec_tag) == _TAG_LENGTH:
            context.codec_tag = source.codec_tag
        if source.has_b_frames:
            # How far frames are reordered was measured when the file was opened, and cannot be
            # set: H.264 then waits for as many frames as its level allows.
            context.options = {"strict": "strict"}

    @property
    def is_usable(self) -> bool:
        """See `PacketDecoder`."""
        return True

    def decode(self, packet: Packet[Stream] | None, /) -> list[av.VideoFrame]:
        """See `PacketDecoder`.

        Raises:
            HardwareError: A frame has another format than the rest of the video.
        """
        frames, pix_fmt = self._context.decode(packet), self._pix_fmt
        return frames if pix_fmt is None else [in_format(frame, pix_fmt) for frame in frames]

    def flush(self) -> None:
        """See `PacketDecoder`; FFmpeg treats leading pictures after it as after a seek."""
        self._context.open(strict=False)
        self._context.flush_buffers()


def in_format(frame: av.VideoFrame, pix_fmt: str) -> av.VideoFrame:
    """Return a frame of NVDEC with the same samples in the order of the CPU's pixel format.

    Raises:
        HardwareError: It has another format than NVDEC gives for that one.
    """
    if frame.format.name != _FORMATS[pix_fmt]:
        raise HardwareError(f"NVDEC gave {frame.format.name} in place of {_FORMATS[pix_fmt]}")
    # Without tags of range on both sides swscale would convert to that of the format. With several
    # threads, what one writes past the end of its last row may hit the first row of the next.
    sample_range = frame.color_range
    planar = frame.reformat(
        format=pix_fmt.replace("yuvj", "yuv"), src_color_range=1, dst_color_range=1, threads=1
    )
    planar.color_range = sample_range
    return planar
