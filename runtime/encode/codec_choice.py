"""Choose the codec of a result where none was asked for, by its container and bit depth.

The columns are for 8 bits or a network that sees 8, and for more than 8 bits or HDR:

    mp4, mov, mkv, ts    H.264    HEVC (Main 10), which hardware decodes
    webm                 VP9      AV1
    all others           H.264    H.264 (High 10)
"""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.encoders import ENCODERS, encoder_options, find_encoder
from vsrc.runtime.errors import MissingDependencyError

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
