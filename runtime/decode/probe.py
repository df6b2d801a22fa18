"""Properties of a video, as a dataclass and as one line of text."""

from __future__ import annotations

import shlex
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.decode.frames.frame_data import frame_data_types
from vsrc.runtime.decode.frames.transparency import is_transparent, remove_alpha_advice
from vsrc.runtime.decode.stamps.frame_rate import choose_rate
from vsrc.runtime.errors import MediaError
from vsrc.runtime.picture.colour import FULL, Colour
from vsrc.runtime.picture.hdr import NO_HDR, HdrMetadata, hdr_metadata
from vsrc.runtime.picture.orientation import Orientation, orientation_of
from vsrc.runtime.pyav_versions import field_order, fraction, side_data, time_base
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.text.size_text import format_size

if TYPE_CHECKING:
    import av
    from av.codec import CodecContext
    from av.container import InputContainer
    from av.stream import Stream

_PROGRESSIVE = (0, 1)
"""Values of AVFieldOrder for unknown and progressive; all others are interlaced."""


_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
"""HDR transfer of H.273 -> its name in zscale."""

_LEAST_BYTES = 16
"""Size of the smallest frame in a file, with what the container adds, bytes."""


@dataclass(frozen=True)
class Track:
    """A stream beside the video.

    Attributes:
        index: Stream index in the file.
        kind: Stream type: audio, subtitle, attachment, data, video (a cover or second camera).
        codec: FFmpeg's name of the codec.
        language: ISO 639 code, or empty.
    """

    index: int
    kind: str
    codec: str
    language: str

    def __str__(self) -> str:
        known = self.language not in ("", "und")
        return f"{self.kind} {self.codec}" + (f" ({self.language})" if known else "")


@dataclass(frozen=True)
class VideoInfo:
    """Properties of a source, from its header and first frame.

    Attributes:
        path: Path as given by the user.
        index: Stream index of the video in the file.
        container: FFmpeg's name of the container, or "pictures" for an image sequence.
        codec: FFmpeg's name of the codec.
        width: Coded width, before any rotation, pixels.
        height: Coded height, before any rotation, pixels.
        pix_fmt: FFmpeg's name of the pixel format.
        depth: Bits per sample.
        is_rgb: Whether the samples are RGB, not YUV.
        has_alpha: Whether pixels of the first frame are transparent, or the video has a second
            stream with alpha.
        is_interlaced: Whether the frames are interlaced.
        colour: Colour tags.
        time_base: Unit of PTS, seconds.
        rate: Average frame rate, frames/s.
        frames: Number of frames in the container's header; 0 if unknown.
        duration: Length of the video, seconds; None where unknown.
        start: PTS of the first frame, units of time_base.
        sample_aspect_ratio: Width of a pixel over its height; None where unknown.
        display_matrix: FFmpeg's 3x3 fixed-point matrix by which players rotate frames, or None.
        rotation: Rotation in the display matrix, degrees counter-clockwise.
        tracks: The streams beside the video.
        chapters: Number of chapters.
        gaps: Missing numbers of an image sequence, in words.
        hdr: HDR mastering display and light level metadata.
        grid: Least constant rate whose frame times include those of the source, frames/s; None
            for the average rate.
        frame_data: Types of `FRAME_DATA` that the first frame carries.
        skipped: Time before the first clean picture that is left out, seconds.
        size_bytes: Size of the file, bytes; 0 if unknown.
        counted: Number of frames by the packets of the file, where the header says none; 0 if they
            were not counted.
        is_count_exact: Whether `counted` is exact: the whole file was read, and a packet holds a
            frame, not a field.
    """

    path: str
    index: int
    container: str
    codec: str
    width: int
    height: int
    pix_fmt: str
    depth: int
    is_rgb: bool
    has_alpha: bool
    is_interlaced: bool
    colour: Colour
    time_base: Fraction
    rate: Fraction
    frames: int
    duration: Fraction | None
    start: int
    sample_aspect_ratio: Fraction | None
    display_matrix: tuple[int, ...] | None
    rotation: int
    tracks: tuple[Track, ...] = ()
    chapters: int = 0
    gaps: str = ""
    hdr: HdrMetadata = NO_HDR
    grid: Fraction | None = None
    frame_data: frozenset[str] = frozenset()
    skipped: Fraction = Fraction(0)
    size_bytes: int = 0
    counted: int = 0
    is_count_exact: bool = False

    @property
    def estimated_frames(self) -> int:
        """Number of frames in the header or by the packets, or rate times duration, or 0.

        There may be gaps in time, so it is limited by the size of the file.
        """
        if self.frames or self.counted or self.duration is None:
            return self.frames or self.counted
        frames = round(self.duration * self.rate)
        return min(frames, self.size_bytes // _LEAST_BYTES) if self.size_bytes else frames

    @property
    def orientation(self) -> Orientation:
        """What makes the frames upright."""
        return orientation_of(self.display_matrix)

    @property
    def upright_size(self) -> tuple[int, int]:
        """Width and height of the upright frames, pixels."""
        return self.orientation.size(self.width, self.height)

    @property
    def has_left_chroma(self) -> bool:
        """Whether chroma is sited to the left, as is the default of MPEG-2 and later codecs."""
        return self.container != "pictures" and self.codec not in ("mjpeg", "mpeg1video")

    @property
    def _frames_text(self) -> str:
        known = self.estimated_frames
        if self.frames or self.is_count_exact:
            return f"{known} frames"
        return f"about {known} frames" if known else "an unknown number of frames"

    def __str__(self) -> str:
        parts = [
            f"{self.codec} {format_size(self.width, self.height)}",
            f"{float(self.rate):.6g} fps",
            self._frames_text,
            f"{self.pix_fmt} {self.colour}".removesuffix(" unknown"),
        ]
        if self.sample_aspect_ratio not in (None, 1):
            parts.append(f"pixel aspect {self.sample_aspect_ratio}")
        if self.rotation:
            parts.append(f"rotated by {self.rotation} degrees")
        parts += [str(track) for track in self.tracks]
        if self.chapters:
            parts.append(count_text(self.chapters, "chapter"))
        if self.gaps:
            parts.append(self.gaps)
        return ", ".join(parts)


def check_supported(info: VideoInfo, *, allow_hdr: bool, deinterlace: bool) -> None:
    """Raise for video whose result would be wrong.

    Raises:
        MediaError: HDR, interlaced, with alpha, or in a colour space without conversion to RGB.
    """
    if info.colour.is_hdr and not allow_hdr:
        raise MediaError(
            f"{info.path} is HDR ({info.colour}) and the network was trained on SDR; map it to SDR "
            f"first ({_sdr_command(info)}), or upscale its code values as they are with --allow-hdr"
        )
    if info.is_interlaced and not deinterlace:
        raise MediaError(
            f"{info.path} is interlaced and the network was trained on progressive frames; add "
            "--deinterlace to deinterlace it first"
        )
    if info.has_alpha:
        is_picture = info.container.endswith("_pipe")
        advice = remove_alpha_advice(info.path, info.pix_fmt, is_picture=is_picture)
        raise MediaError(f"{info.path} has transparency ({info.pix_fmt}), {advice}")
    if not info.colour.is_convertible:
        raise MediaError(
            f"{info.path} has the colour matrix {info.colour}, which cannot be converted to RGB"
        )


def _sdr_command(info: VideoInfo) -> str:
    """Command of ffmpeg that maps an HDR video to SDR in BT.709."""
    # A file without tags of primaries or matrix would be refused by zscale.
    tags = f"tin={_TRANSFERS.get(info.colour.transfer, 'smpte2084')}:pin=bt2020:min=bt2020nc"
    mapped = f"zscale={tags}:t=linear:npl=100,format=gbrpf32le,zscale=p=bt709,tonemap=hable:desat=0"
    filters = f"{mapped},zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
    output = Path(info.path).with_name(f"{Path(info.path).stem}-sdr.mkv").name
    return shlex.join(["ffmpeg", "-i", info.path, "-vf", filters, "-c:a", "copy", output])


def from_stream(
    path: str,
    container: InputContainer,
    stream: av.VideoStream,
    first: av.VideoFrame,
    stamps: Sequence[int] = (),
) -> VideoInfo:
    """Collect the properties from the container, the stream and the first decoded frame.

    Args:
        path: Path as given by the user.
        container: Open file.
        stream: Its video.
        first: First frame.
        stamps: PTS of the first frames, in any order, where the header's rate is in doubt.
    """
    unit = time_base(stream)
    whole = Fraction(container.duration or 0, 1_000_000)
    average, guessed = fraction(stream.average_rate), fraction(stream.guessed_rate)
    rate = choose_rate(average, guessed, stamps, unit)
    return VideoInfo(
        path=path,
        index=stream.index,
        container=container.format.name,
        codec=codec_name(stream),
        width=first.width,
        height=first.height,
        pix_fmt=first.format.name,
        depth=max(component.bits for component in first.format.components),
        is_rgb=first.format.is_rgb,
        has_alpha=_has_alpha(first, stream),
        is_interlaced=field_order(stream) not in _PROGRESSIVE or first.interlaced_frame,
        colour=colour_of(first),
        time_base=unit,
        rate=rate.average,
        frames=0 if container.format.name == "avi" else stream.frames,  # AVI counts empty chunks
        duration=stream.duration * unit if stream.duration else whole or None,
        start=first_pts(first),
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio),
        display_matrix=display_matrix(first),
        rotation=first.rotation,
        tracks=tuple(_track(other) for other in container.streams if other is not stream),
        chapters=len(container.chapters()),
        hdr=hdr_metadata(first),
        grid=rate.grid,
        frame_data=frame_data_types(first),
        size_bytes=max(0, container.size) if container.file is None else 0,
    )


def colour_of(frame: av.VideoFrame) -> Colour:
    """Colour tags of a decoded frame; its range counts more than that of its pixel format."""
    # H.264 decoders keep the format where only the range changes.
    is_full = frame.format.name.startswith("yuvj") and not frame.color_range
    return Colour(
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
        range=FULL if is_full else int(frame.color_range),
    )


def first_pts(frame: av.VideoFrame) -> int:
    """PTS of a frame, or the best estimate of it."""
    if frame.pts is not None:
        return frame.pts
    return frame.dts if frame.dts is not None else 0


def _has_alpha(frame: av.VideoFrame, stream: av.VideoStream) -> bool:
    # VP8 and VP9 store alpha as a second stream and signal it in a tag only.
    in_tag = codec_name(stream) in ("vp8", "vp9") and stream.metadata.get("alpha_mode") == "1"
    return in_tag or is_transparent(frame)


def display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
    """Return the matrix by which players rotate a frame, row by row; None if it has none."""
    matrix = side_data(frame).get("DISPLAYMATRIX")
    return None if matrix is None else struct.unpack_from("=9i", matrix)


def _track(stream: Stream) -> Track:
    return Track(
        index=stream.index,
        kind=stream.type,
        codec=codec_name(stream),
        language=stream.language or "",
    )


def codec_name(stream: Stream) -> str:
    """FFmpeg's name of a stream's codec; "unknown" where this build has no decoder for it."""
    # Contrary to PyAV's stubs, a stream without a decoder has no context, and then some streams
    # have no name.
    context: CodecContext | None = stream.codec_context
    if context:
        return context.codec.canonical_name
    return getattr(stream, "name", None) or "unknown"
