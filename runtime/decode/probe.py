"""Properties of a video, as a dataclass and as one line of text."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.errors import MediaError
from vsrc.runtime.picture.colour import FULL, Colour
from vsrc.runtime.picture.hdr import NO_HDR, HdrMetadata, hdr_metadata
from vsrc.runtime.pyav_versions import field_order, fraction, side_data, time_base

if TYPE_CHECKING:
    import av
    from av.codec import CodecContext
    from av.container import InputContainer
    from av.stream import Stream

_PROGRESSIVE = (0, 1)
"""Values of AVFieldOrder for unknown and progressive; all others are interlaced."""


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
        has_alpha: Whether there is an alpha channel.
        is_interlaced: Whether the frames are interlaced.
        colour: Colour tags.
        time_base: Unit of PTS, seconds.
        rate: Average frame rate, frames/s.
        frames: Number of frames in the container's header; 0 if unknown.
        duration: Length of the video, seconds; None where unknown.
        file_duration: Length of the file in its header, seconds; 0 if unknown.
        start: PTS of the first frame, units of time_base.
        sample_aspect_ratio: Width of a pixel over its height; None where unknown.
        display_matrix: FFmpeg's 3x3 fixed-point matrix by which players rotate frames, or None.
        rotation: Rotation in the display matrix, degrees counter-clockwise.
        tracks: The streams beside the video.
        chapters: Number of chapters.
        gaps: Missing numbers of an image sequence, in words.
        hdr: HDR mastering display and light level metadata.
        skipped: Time before the first clean picture that is left out, seconds.
        size_bytes: Size of the file, bytes; 0 if unknown.
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
    file_duration: Fraction
    start: int
    sample_aspect_ratio: Fraction | None
    display_matrix: tuple[int, ...] | None
    rotation: int
    tracks: tuple[Track, ...] = ()
    chapters: int = 0
    gaps: str = ""
    hdr: HdrMetadata = NO_HDR
    skipped: Fraction = Fraction(0)
    size_bytes: int = 0

    @property
    def estimated_frames(self) -> int:
        """Number of frames in the header, or rate times duration, or 0.

        There may be gaps in time, so it is limited by the size of the file.
        """
        if self.frames or self.duration is None:
            return self.frames
        frames = round(self.duration * self.rate)
        return min(frames, self.size_bytes // _LEAST_BYTES) if self.size_bytes else frames

    @property
    def has_left_chroma(self) -> bool:
        """Whether chroma is sited to the left, as is the default of MPEG-2 and later codecs."""
        return self.container != "pictures" and self.codec not in ("mjpeg", "mpeg1video")

    def __str__(self) -> str:
        parts = [
            f"{self.codec} {self.width}x{self.height}",
            f"{float(self.rate):.6g} fps",
            f"{self.estimated_frames or '?'} frames",
            f"{self.pix_fmt} {self.colour}",
        ]
        if self.sample_aspect_ratio not in (None, 1):
            parts.append(f"pixel aspect {self.sample_aspect_ratio}")
        if self.rotation:
            parts.append(f"rotated by {self.rotation} degrees")
        parts += [str(track) for track in self.tracks]
        if self.chapters:
            parts.append(f"{self.chapters} chapters")
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
            "first, or upscale its code values as they are with --allow-hdr"
        )
    if info.is_interlaced and not deinterlace:
        raise MediaError(
            f"{info.path} is interlaced and the network was trained on progressive frames; add "
            "--deinterlace to deinterlace it first"
        )
    if info.has_alpha:
        raise MediaError(
            f"{info.path} has transparency ({info.pix_fmt}), which would be lost; remove it first: "
            "ffmpeg -i IN -vf format=rgb24 OUT"
        )
    if not info.colour.is_convertible:
        raise MediaError(
            f"{info.path} has the colour matrix {info.colour}, which cannot be converted to RGB"
        )


def from_stream(
    path: str, container: InputContainer, stream: av.VideoStream, first: av.VideoFrame
) -> VideoInfo:
    """Collect the properties from the container, the stream and the first decoded frame."""
    unit = time_base(stream)
    whole = Fraction(container.duration or 0, 1_000_000)
    rate = fraction(stream.average_rate) or fraction(stream.guessed_rate) or Fraction(25)
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
        rate=rate,
        frames=stream.frames,
        duration=stream.duration * unit if stream.duration else whole or None,
        file_duration=whole,
        start=first_pts(first),
        sample_aspect_ratio=fraction(stream.sample_aspect_ratio),
        display_matrix=_display_matrix(first),
        rotation=first.rotation,
        tracks=tuple(_track(other) for other in container.streams if other is not stream),
        chapters=len(container.chapters()),
        hdr=hdr_metadata(first),
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
    # WebM stores alpha as a second stream and signals it in a tag only.
    coded = any(component.is_alpha for component in frame.format.components)
    return coded or stream.metadata.get("alpha_mode", "0") == "1"


def _display_matrix(frame: av.VideoFrame) -> tuple[int, ...] | None:
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
