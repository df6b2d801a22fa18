"""FFmpeg's names of muxers: by the suffix of a file, and those that have something in common."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from pathlib import Path

from vsrc.runtime.errors import MediaError

MOV_FAMILY = frozenset(("3g2", "3gp", "ipod", "mov", "mp4"))
"""Containers of FFmpeg's MOV muxer; "ipod" is its name of .m4v."""

WITHOUT_STAMPS = frozenset(("avi", "mxf"))
"""Containers that store no time stamps: packets of a track are played one after the other."""

WITHOUT_START = frozenset(("mxf",))
"""Those of them in which the tracks begin together. AVI has a header for the beginning of each."""

WITHOUT_EMPTY = MOV_FAMILY | {"dvd", "f4v", "mpeg", "mxf", "svcd", "vcd", "vob"}
"""Containers that carry no audio track without packets; FFmpeg refuses to write such a MXF."""

SMOOTH = "ismv"
"""FFmpeg's name of Smooth Streaming (.ismv, .isma)."""

_MANY_FILES = frozenset(
    ("dash", "hds", "hls", "segment", "smoothstreaming", "stream_segment,ssegment", "webm_chunk")
)
"""Muxers that write a playlist and parts beside it, past the pending file."""


def muxer_of(path: Path) -> str:
    """Return FFmpeg's name of the container for the suffix of `path`.

    Raises:
        MediaError: There is none for this suffix, or it cannot hold video.
    """
    import av

    try:
        probe = av.open(str(path), "w")  # nothing is opened before the first packet
        name, video = probe.format.name, probe.default_video_codec
        probe.close()
    except ValueError as error:
        raise MediaError(
            f"{path}: {path.suffix or 'no suffix'} is not a known container; "
            "use .mkv, .mp4 or .mov, or images as out/%08d.png"
        ) from error
    if name in _MANY_FILES:
        raise MediaError(
            f"{path}: a {path.suffix} names many other files; write a .mkv or .mp4, and let ffmpeg "
            f"cut it: ffmpeg -i OUT.mkv -c copy {shlex.quote(str(path))}"
        )
    if name == "gif":
        video_name = path.with_suffix(".mp4")
        then = shlex.join(["ffmpeg", "-i", str(video_name), str(path)])
        raise MediaError(
            f"{path}: GIF has 256 colours; write -o {shlex.quote(str(video_name))} and convert it: "
            f"{then}"
        )
    if name == "yuv4mpegpipe":
        raise MediaError(f"{path}: y4m is written to stdout: -o - > {shlex.quote(str(path))}")
    if video == "none" or name == "image2":
        raise MediaError(
            f"{path}: {path.suffix} cannot hold video; use .mkv, .mp4 or .mov, "
            "or images as out/%08d.png"
        )
    return name


def muxer_options(muxer: str, units: Sequence[Fraction]) -> dict[str, str]:
    """Return options of a muxer that keep time stamps unchanged and bytes reproducible.

    Args:
        muxer: FFmpeg's name of it.
        units: Time bases of all tracks, seconds.
    """
    if muxer == "mpegts":  # it would add its buffering delay to all of them
        return {"mpegts_copyts": "1"}
    if muxer == "avi":  # it would delay all tracks by the priming samples of AAC
        return {"avoid_negative_ts": "disabled"}
    if muxer == SMOOTH:  # its fragments have no times: an edit list says when each track begins
        return {"movflags": "delay_moov"}
    if muxer in ("matroska", "webm"):  # it would give each file random numbers as its name
        return {"fflags": "+bitexact"}
    if muxer not in MOV_FAMILY:
        return {}
    # Track start times are stored in the movie time scale, by default milliseconds.
    common = lcm(*(unit.denominator for unit in units))
    return {"movie_timescale": str(common if common < 1 << 31 else 1_000_000)}
