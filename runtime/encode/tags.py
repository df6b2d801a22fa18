"""Copy tags and chapters of a file and of its tracks."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING

from vsrc.runtime.encode.muxers import MOV_FAMILY
from vsrc.runtime.encode.muxing_trial import can_hold_timecode, find_lost_tags
from vsrc.runtime.pyav_versions import fraction

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.container.core import Chapter
    from av.stream import Stream

_STRUCTURAL = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate")
)
"""Tags that describe the old file or encoder and would be wrong in the new file."""

_NO_TIME = "1970-01-01T00:00:00"
"""Beginning of a `creation_time` that was never set, as FFmpeg 9 reads it from ASF."""

_STATISTICS = ("bps", "number_of_frames", "number_of_bytes", "_statistics", "duration")
"""Prefixes of the tags in which mkvmerge stores statistics."""

_WITH_CHAPTERS = MOV_FAMILY | {"asf", "matroska", "nut", "ogg", "webm"}
_WITH_TIMECODE = frozenset(("matroska", "mov", "mp4", "webm", "mxf"))
"""Containers that store chapters, and the timecode of the first frame."""

_MAC_LANGUAGES = {
    "cym": "wel", "cze": "ces", "deu": "ger", "ell": "gre", "eus": "baq", "fas": "per",
    "fre": "fra", "hye": "arm", "isl": "ice", "kat": "geo", "mkd": "mac", "msa": "may",
    "mya": "bur", "nld": "dut", "bod": "tib", "rum": "ron", "slo": "slk", "sqi": "alb",
    "swe": "sve", "zho": "chi",
}  # fmt: skip
"""ISO 639-2 code of a language -> the one by which FFmpeg's MOV muxer knows its Macintosh code; it
drops the others."""

_MOST_NAMED = 6

FREE_KEYS = {"movflags": "use_metadata_tags"}
"""Options with which FFmpeg's MOV muxer stores tags of any name (QuickTime's `mdta` keys) rather
than the few of iTunes. Apple's players then show only those whose names are Apple's, so it is used
where a tag would be lost otherwise: phones and cameras tag with such names anyway."""


def choose_tags(
    source: InputContainer | None, muxer: str
) -> tuple[dict[str, str], dict[str, str], str]:
    """Choose the tags of a file to copy.

    Args:
        source: File to copy from; None for images, which have no tags.
        muxer: FFmpeg's name of the container to copy to.

    Returns:
        Tags, options of the muxer that they need, and a note on those that the container drops,
        or an empty string.
    """
    found = source.metadata if source is not None else {}
    tags = {name: text for name, text in found.items() if not _is_structural(name, text)}
    options: dict[str, str] = {}
    lost = find_lost_tags(muxer, tags, options)
    if lost and muxer in MOV_FAMILY:
        fewer = find_lost_tags(muxer, tags, FREE_KEYS)
        if len(fewer) < len(lost):
            lost, options = fewer, FREE_KEYS
    return tags, options, _lost_note(lost, muxer)


def copy_tags(source: Stream, target: Stream) -> None:
    """Copy language, title and disposition of a track, without statistics of the old one."""
    target.disposition = source.disposition
    tags = {
        name: text
        for name, text in source.metadata.items()
        if not _is_structural(name, text) and not name.lower().startswith(_STATISTICS)
    }
    if "title" not in tags and _is_of_mov(source):
        tags |= {"title": tags.pop("name")} if "name" in tags else {}
    if target.container.format.name == "mov" and tags.get("language") in _MAC_LANGUAGES:
        tags["language"] = _MAC_LANGUAGES[tags["language"]]
    target.metadata.update(tags)


def _is_of_mov(stream: Stream) -> bool:
    """Whether a track is one of MP4 or MOV, whose titles FFmpeg reads as names."""
    return stream.container.format.name.startswith("mov")


def check_timecode(tags: dict[str, str], muxer: str, rate: Fraction) -> str:
    """Remove a timecode that the container cannot store at this frame rate.

    Args:
        tags: Tags of the video track of the output.
        muxer: FFmpeg's name of the container.
        rate: Frame rate, frames/s.

    Returns:
        A note on it, or an empty string.
    """
    name = _find_timecode(tags)
    if name is None:
        return ""
    timecode = tags[name]
    if muxer in _WITH_TIMECODE and can_hold_timecode(muxer, timecode, rate):
        return ""
    del tags[name]
    return f"the timecode {timecode} is left out: {muxer} cannot carry it (.mkv can)"


def check_chapters(source: InputContainer, muxer: str) -> str:
    """Return a note if the file has chapters and the container stores none, or an empty string."""
    if not source.chapters() or muxer in _WITH_CHAPTERS:
        return ""
    return f"chapters are left out: {muxer} cannot carry them (.mkv can)"


def is_chapter_track(stream: Stream, source: InputContainer) -> bool:
    """Whether a data track of a MOV file holds the titles of chapters, which are copied as such."""
    return (
        stream.type == "data"
        and source.format.name.startswith("mov")
        and getattr(stream, "name", None) == "bin_data"
        and bool(source.chapters())
    )


def is_timecode_track(stream: Stream, video: Stream) -> bool:
    """Whether a data track holds the timecode, which is copied as a tag of the video."""
    names = (stream.metadata, video.metadata)
    return stream.type == "data" and all(_find_timecode(tags) is not None for tags in names)


def copy_chapters(
    source: InputContainer, target: OutputContainer, *, start: Fraction | None, shift: Fraction
) -> None:
    """Copy chapters that end after `start`; times in seconds, as in `TrackCopier.release`."""
    chapters: list[Chapter] = []
    for chapter in source.chapters():
        base = fraction(chapter["time_base"]) or Fraction(1, 1000)
        if start is not None and chapter["end"] * base <= start:
            continue
        offset = round(shift / base)
        first = chapter["start"] if start is None else max(chapter["start"], ceil(start / base))
        moved: Chapter = {**chapter, "start": first - offset, "end": chapter["end"] - offset}
        chapters.append(moved)
    if chapters:
        target.set_chapters(chapters)


def _find_timecode(tags: Mapping[str, str]) -> str | None:
    """Return the name of the tag that holds a timecode."""
    return next((name for name in tags if name.lower() == "timecode"), None)


def _is_structural(name: str, text: str) -> bool:
    name = name.lower()
    if name == "software":  # AVI has no other tag for the program that wrote it
        return text.startswith("Lavf")
    return name in _STRUCTURAL or (name == "creation_time" and text.startswith(_NO_TIME))


def _lost_note(lost: list[str], muxer: str) -> str:
    if not lost:
        return ""
    names = ", ".join(lost[:_MOST_NAMED])
    if len(lost) > _MOST_NAMED:
        names += f" and {len(lost) - _MOST_NAMED} more"
    if len(lost) == 1:
        return f"the tag {names} is left out: {muxer} cannot carry it (.mkv can)"
    return f"the tags {names} are left out: {muxer} cannot carry them (.mkv can)"
