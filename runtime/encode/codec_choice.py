"""Choose the codec of a result where none was asked for, by its container and bit depth.

The columns are for 8 bits or a network that sees 8, and for more than 8 bits or HDR:

    mp4, mov, mkv, ts    H.264    HEVC (Main 10), which hardware decodes
    webm                 VP9      AV1
    all others           H.264    H.264 (High 10)
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.encoders import ENCODERS, encoder_options, find_encoder
from vsrc.runtime.encode.muxing_trial import accepts_header
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.pyav_versions import open_output

if TYPE_CHECKING:
    from av.container import OutputContainer

_HOLDS_HEVC = frozenset(("matroska", "mov", "mp4", "mpegts"))
"""Containers, by FFmpeg's names of their muxers, in which players expect HEVC."""


@dataclass(frozen=True)
class CodecChoice:
    """Codec of a result.

    Attributes:
        codec: Short name or FFmpeg's name of the encoder.
        depth: Bits per sample to write; the encoder may support fewer.
    """

    codec: str
    depth: int


def choose_codec(asked: str | None, muxer: str, info: VideoInfo, *, is_deep: bool) -> CodecChoice:
    """Return the requested codec with the depth of the source, or the default of the container.

    Args:
        asked: Short name or FFmpeg's name of an encoder; None for the default.
        muxer: FFmpeg's name of the container.
        info: Source.
        is_deep: Whether the network sees more than 8 bits of each sample.
    """
    if asked is not None:
        return CodecChoice(asked, info.depth)
    if writes_8_bits(asked, info, is_deep=is_deep):
        return CodecChoice(default_codec(muxer), 8)
    deep = "av1" if muxer == "webm" else "x265" if muxer in _HOLDS_HEVC else default_codec(muxer)
    return CodecChoice(deep if info.depth > 8 else default_codec(muxer), info.depth)


def writes_8_bits(asked: str | None, info: VideoInfo, *, is_deep: bool) -> bool:
    """Whether a deeper source is written in 8 bits because the network sees no more.

    HDR keeps its bits, because displays take it for HDR in 10 bits only.
    """
    return asked is None and info.depth > 8 and not is_deep and not info.colour.is_hdr


def default_codec(muxer: str) -> str:
    """Short name of the codec for video of 8 bits in this container."""
    return "vp9" if muxer == "webm" else "x264"


def check_codec(asked: str | None, muxer: str, *, crf: int | None) -> None:
    """Raise if the codec does not exist, or does not support the options.

    Raises:
        MissingDependencyError: This build of FFmpeg has no such encoder.
        ValueError: It is not a video encoder, or it does not support this quality.
    """
    encoder, _ = find_encoder(asked or default_codec(muxer))
    encoder_options(encoder, crf=crf, preset=None, width=16)


def deepest_codec(muxer: str, info: VideoInfo) -> CodecChoice | None:
    """Return the codec that keeps most bits of the source in this container.

    Returns:
        The default for deep video if that keeps them all; None if no codec keeps more than 8.
    """
    with open_output(io.BytesIO(), muxer) as container:
        names = names_held_by(container.supported_codecs)
    first = choose_codec(None, muxer, info, is_deep=True).codec
    # FFmpeg lists no codecs for some containers, such as MPEG-TS.
    if first in names or _writes_header(muxer, first):
        names = [first, *(name for name in names if name != first)]
    depths = [min(info.depth, _greatest_depth(name)) for name in names]
    best = max(zip(depths, names, strict=True), key=lambda pair: pair[0], default=(8, ""))
    return CodecChoice(best[1], best[0]) if best[0] > 8 else None


def _writes_header(muxer: str, name: str) -> bool:
    import av

    def add_stream(target: OutputContainer) -> None:
        encoder, _ = find_encoder(name)
        stream = target.add_stream(encoder.name, rate=25, options=dict(encoder.quiet))
        assert isinstance(stream, av.VideoStream)  # find_encoder returns no other
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p10le"

    return accepts_header(muxer, add_stream)


def _greatest_depth(name: str) -> int:
    """Most bits per sample that an encoder writes as YUV."""
    _, codec = find_encoder(name)
    formats = [one for one in codec.video_formats or [] if not one.is_rgb]
    return max((part.bits for one in formats for part in one.components), default=8)


def names_held_by(codecs: set[str]) -> list[str]:
    """Short names of the encoders, without a GPU, whose codecs are among these."""
    found = []
    for name in ENCODERS:
        try:
            _, codec = find_encoder(name)
        except MissingDependencyError:
            continue
        if codec.canonical_name in codecs and not name.startswith("nvenc"):
            found.append(name)
    return found
