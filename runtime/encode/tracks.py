"""Copy other tracks, chapters and tags of a video to the output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any

from vsrc.runtime.decode.covers import attach_cover, is_cover
from vsrc.runtime.decode.media_file import select_copied_tracks
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.encode import avi
from vsrc.runtime.pyav_versions import fraction, time_base

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.container.core import Chapter
    from av.packet import Packet
    from av.stream import Stream

_STRUCTURAL = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate")
)
"""Tags that describe the old file or encoder and would be wrong in the new file."""

_STATISTICS = ("bps", "number_of_frames", "number_of_bytes", "_statistics", "duration")
"""Prefixes of the tags in which mkvmerge stores statistics."""


class TrackCopier:
    """Copies packets of the other tracks to an output, up to the current time of the video.

    Attributes:
        notes: Lines to report to the user: what could not be copied, and why.

    Args:
        source: Container to copy from.
        target: Container to copy to.
        video: Stream index of the video that is upscaled.
    """

    def __init__(self, source: InputContainer, target: OutputContainer, *, video: int) -> None:
        self.notes: list[str] = []
        self._target = target
        self._streams: dict[int, Stream] = {}
        self._refused: Counter[tuple[int, str]] = Counter()
        self._held: list[Packet[Stream]] = []
        is_matroska = target.format.name == "matroska"
        for stream in select_copied_tracks(source):
            if not (is_matroska and is_cover(stream) and attach_cover(source, stream, target)):
                self._add(stream)
        for stream in source.streams.attachments if is_matroska else ():
            self._add(stream)
        if source.streams.attachments and not is_matroska:
            self.notes.append("attachments are left out: only .mkv can carry them")
        self.notes += [
            f"the {stream.type} track {stream.index} is left out: only audio, subtitles and "
            "attachments are copied with the video"
            for stream in source.streams
            if _is_left_out(stream) and stream.index != video
        ]

    def hold(self, packets: Iterable[Packet[Stream]]) -> None:
        """Queue packets, in the order of the source."""
        self._held += packets

    def release(self, *, start: Fraction | None, stop: Fraction | None, shift: Fraction) -> None:
        """Write the queued packets of a time span.

        Args:
            start: Time before which packets are dropped, seconds of the source; None drops none.
            stop: Time from which on packets stay queued, seconds of the source; None for the end.
            shift: Time subtracted from the time stamps, seconds.
        """
        later = []
        for packet in self._held:
            stamp = packet.pts if packet.pts is not None else packet.dts
            seconds = None if stamp is None else stamp * time_base(packet)
            if seconds is not None and stop is not None and seconds >= stop:
                later.append(packet)
            elif seconds is None or start is None or seconds >= start:
                self._write(packet, shift)
        self._held = later

    def losses(self) -> list[str]:
        """Report packets that could not be copied because they are damaged."""
        return [
            f"{count} damaged packets of the {kind} track {index} are left out"
            for (index, kind), count in sorted(self._refused.items())
        ]

    def _write(self, packet: Packet[Stream], shift: Fraction) -> None:
        import av.error

        if packet.stream.index not in self._streams:
            return
        offset = round(shift / time_base(packet))
        if packet.pts is not None:
            packet.pts -= offset
        if packet.dts is not None:
            packet.dts -= offset
        track = packet.stream.index, packet.stream.type
        packet.stream = self._streams[packet.stream.index]
        try:
            self._target.mux(packet)
        except (av.error.ArgumentError, av.error.InvalidDataError):
            self._refused[track] += 1  # an invalid time stamp, or no header

    def _add(self, stream: Stream) -> None:
        if not _is_known(stream):
            self.notes.append(
                f"the audio track {stream.index} ({codec_name(stream)}) is left out: it is "
                "truncated or damaged, so that its sample rate is unknown"
            )
            return
        try:
            if self._target.format.name == avi.MUXER and avi.refuses(stream):
                raise ValueError("ADTS headers")
            copy = self._target.add_stream_from_template(stream, opaque=True)
        except ValueError:
            self.notes.append(
                f"the {stream.type} track {stream.index} ({codec_name(stream)}) is left out: "
                f"{self._target.format.name} cannot carry it (.mkv can)"
            )
            return
        copy_tags(stream, copy)
        self._streams[stream.index] = copy


def _is_known(stream: Stream) -> bool:
    """Whether the parameters of a track that a muxer needs are known."""
    # Without a decoder there is no context to read the parameters from.
    context: Any = stream.codec_context
    return stream.type != "audio" or context is None or bool(context.sample_rate)


def _is_left_out(stream: Stream) -> bool:
    """Whether a track is a second video, or data in a private format."""
    return stream.type == "data" or (stream.type == "video" and not is_cover(stream))


def copy_tags(source: Stream, target: Stream) -> None:
    """Copy language, title and disposition of a track, without statistics of the old one."""
    target.disposition = source.disposition
    target.metadata.update(
        {
            key: value
            for key, value in source.metadata.items()
            if key.lower() not in _STRUCTURAL and not key.lower().startswith(_STATISTICS)
        }
    )


def copy_file_tags(source: InputContainer, target: OutputContainer) -> None:
    """Copy title, artist, date and other tags of the file."""
    target.metadata.update(
        {key: value for key, value in source.metadata.items() if key.lower() not in _STRUCTURAL}
    )


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


def track_units(source: InputContainer) -> list[Fraction]:
    """Return the time bases of the tracks that are copied, seconds."""
    return [time_base(stream) for stream in select_copied_tracks(source)]


def find_start(source: InputContainer) -> Fraction:
    """Return the time at which the first track begins, seconds."""
    starts = [
        stream.start_time * time_base(stream)
        for stream in source.streams
        if stream.start_time is not None
    ]
    return min(starts, default=Fraction(0))
