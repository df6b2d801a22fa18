"""What media files may make FFmpeg open: by default nothing but the file itself.

Playlists, concat scripts and session descriptions name other files and addresses, and FFmpeg
recognises them by their content, whatever the suffix. So each open is restricted:

                        by default    allow_media(playlists)      allow_media(network)
    local files, stdin  yes           yes                         yes
    playlists           no            files below their folder    no
    URLs and streams    no            no                          yes, and what they refer to

`open_input` of `vsrc.runtime.pyav_versions`, the one place where files are opened for reading, adds
`input_options`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_FILES = "file"
_STREAMS = (
    "crypto,data,ftp,hls,http,httpproxy,https,mmsh,mmst,rtmp,rtmpe,rtmps,rtmpt,rtmpte,rtmpts,rtp,"
    "rtsp,srt,srtp,tcp,tls,udp"
)
_NONE = "none"
"""Not the name of a protocol: an empty list would count as no restriction."""

_REFER_TO_FILES = frozenset(("concat", "hls"))
_REFER_TO_ANYTHING = frozenset(
    ("avisynth", "dash", "imf", "lavfi", "mlv", "rtp", "rtsp", "sap", "sdp", "vapoursynth",
     "vobsub", "webm_dash_manifest")
)  # fmt: skip
"""Demuxers that open what the file names, or files beside it (`film.m00` of MLV, `film.sub` of
VobSub), or run it as a script."""

REFER_TO_OTHERS = _REFER_TO_FILES | _REFER_TO_ANYTHING
"""Demuxers that open more than the file itself."""

_MERGED = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+")
"""Beginning of a URL, after a `Path` has merged its slashes; drive letters are shorter."""


@dataclass(frozen=True)
class MediaAccess:
    """What may be opened beside local files.

    Attributes:
        network: Whether URLs and streams may be opened.
        playlists: Whether playlists and concat scripts may open files of their folder.
    """

    network: bool = False
    playlists: bool = False


_access = MediaAccess()


def media_access() -> MediaAccess:
    """Return what is allowed now."""
    return _access


@contextmanager
def allow_media(*, network: bool = False, playlists: bool = False) -> Iterator[None]:
    """Allow more in this process, for the block; see the table above."""
    global _access
    before, _access = _access, MediaAccess(network=network, playlists=playlists)
    try:
        yield
    finally:
        _access = before


def input_options(name: object) -> dict[str, str]:
    """Return the options of FFmpeg that restrict what opening an input may open.

    Args:
        name: File name, URL, or an open file.
    """
    is_stream = isinstance(name, str) and "://" in name
    if is_stream and _access.network:
        return {"protocol_whitelist": _STREAMS}
    refused = _REFER_TO_ANYTHING | (frozenset() if _access.playlists else _REFER_TO_FILES)
    protocols = _FILES if isinstance(name, str) else _NONE
    return {"protocol_whitelist": protocols, "format_whitelist": demuxers_except(refused)}


@lru_cache
def demuxers_except(refused: frozenset[str]) -> str:
    """Return the names of all demuxers but those, as `format_whitelist` takes them."""
    import av

    names = {name for name in map(_demuxer, av.formats_available) if name}
    return ",".join(sorted(names - refused))


def is_url(path: Path) -> bool:
    """Whether a path that was given is a URL, and no file or folder has this name."""
    is_named = _MERGED.match(str(path)) is not None
    return is_named and not path.exists() and not Path(path.parts[0]).is_dir()


def restored_url(path: object) -> str:
    """Return the URL that a `Path` was made of, whose slashes it has merged."""
    return _MERGED.sub(r"\1://", str(path), count=1)


def _demuxer(name: str) -> str | None:
    """Return FFmpeg's full name of a demuxer; None for a format that can be written only."""
    from av.format import ContainerFormat

    try:
        return ContainerFormat(name, "r").name
    except ValueError:
        return None
