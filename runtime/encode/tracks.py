"""Copy other tracks of a video to the output."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.covers import attach_cover, is_cover
from vsrc.runtime.decode.media_file import select_copied_tracks
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.recordings import find_later_tracks
from vsrc.runtime.decode.track_samples import open_track_samples
from vsrc.runtime.encode.muxers import WITHOUT_EMPTY
from vsrc.runtime.encode.tags import is_chapter_track, is_timecode_track
from vsrc.runtime.encode.track_opener import TrackOpener, TrackWriter, describe_empty
from vsrc.runtime.pyav_versions import time_base
from vsrc.runtime.text.count_text import count_text

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream


_NEAR = Fraction(1, 4)
"""Time around a joint of recordings within which packets may be cut off, seconds."""


@dataclass(frozen=True)
class _Refusal:
    """A packet of the source that could not be written.

    Attributes:
        index: Stream index of its track.
        kind: Type of the track.
        seconds: Its time in the source, seconds; None where it is unknown.
    """

    index: int
    kind: str
    seconds: Fraction | None

    def is_near(self, time: Fraction) -> bool:
        """Whether its time is close to that of a joint, seconds."""
        return self.seconds is not None and abs(self.seconds - time) <= _NEAR


class TrackCopier:
    """Copies packets of the other tracks to an output, up to the current time of the video.

    Attributes:
        notes: Lines to report to the user: what could not be copied as it is, and why.

    Args:
        source: Container to copy from.
        target: Container to copy to.
        video: Stream index of the video that is upscaled.
        audio: What happens to audio; `copy`, `encode` or `drop`, as in
            `InferConfig`.
    """

    def __init__(
        self, source: InputContainer, target: OutputContainer, *, video: int, audio: str = "copy"
    ) -> None:
        self.notes: list[str] = []
        self._target = target
        self._tracks: dict[int, TrackWriter] = {}
        self._names: dict[int, str] = {}
        self._refused: list[_Refusal] = []
        self._written: set[int] = set()
        self._held: list[Packet[Stream]] = []
        is_matroska = target.format.name == "matroska"
        later = find_later_tracks(source)
        with open_track_samples(source) as samples:
            opener = TrackOpener(source, target, samples, later.codecs, audio)
            for stream in select_copied_tracks(source):
                if not (is_matroska and is_cover(stream) and attach_cover(source, stream, target)):
                    self._open(opener, stream)
            for stream in source.streams.attachments if is_matroska else ():
                self._open(opener, stream)
        self.notes += opener.notes
        self.notes += [
            f"{track} of a later recording is left out: the first one has no such track"
            for track in later.added
            if audio != "drop" or not track.startswith("audio")
        ]
        if source.streams.attachments and not is_matroska:
            self.notes.append("attachments are left out: only .mkv can carry them")
        self.notes += [
            f"the {stream.type} track {stream.index} is left out: only audio, subtitles and "
            "attachments are copied with the video"
            for stream in source.streams
            if _is_left_out(stream, source, source.streams[video])
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
            seconds = _seconds(packet)
            if seconds is not None and stop is not None and seconds >= stop:
                later.append(packet)
            elif seconds is None or start is None or seconds >= start:
                self._write(packet, shift)
        self._held = later

    def finish(self) -> None:
        """Write what encoders still hold, after the last release."""
        for index, track in self._tracks.items():
            for packet in track.rest():
                self._mux(packet, _Refusal(index, self._names[index], None))

    def empty_tracks(self) -> list[str]:
        """Report audio of which nothing is in this part of the source, where that loses it."""
        muxer = self._target.format.name
        silent = self._names.keys() - self._written - {one.index for one in self._refused}
        return [
            describe_empty(f"the audio track {index}", muxer)
            for index in sorted(silent)
            if self._names[index] == "audio" and muxer in WITHOUT_EMPTY
        ]

    def losses(self, joints: Sequence[Fraction] = ()) -> list[str]:
        """Report packets that could not be copied because they are damaged.

        Args:
            joints: When recordings end or begin in the source, seconds. Packets that are cut off
                there are no damage.
        """
        counts = Counter(
            (refusal.index, refusal.kind)
            for refusal in self._refused
            if not any(refusal.is_near(joint) for joint in joints)
        )
        return [
            f"{count_text(count, 'damaged packet')} of the {kind} track {index} "
            f"{'is' if count == 1 else 'are'} left out"
            for (index, kind), count in sorted(counts.items())
        ]

    def _open(self, opener: TrackOpener, stream: Stream) -> None:
        track = opener.open(stream)
        if track is not None:
            self._tracks[stream.index], self._names[stream.index] = track, stream.type

    def _write(self, packet: Packet[Stream], shift: Fraction) -> None:
        import av

        if packet.stream.index not in self._tracks:
            return
        seconds, offset = _seconds(packet), round(shift / time_base(packet))
        if packet.pts is not None:
            packet.pts -= offset
        if packet.dts is not None:
            packet.dts -= offset
        refusal = _Refusal(packet.stream.index, packet.stream.type, seconds)
        try:
            packets = self._tracks[packet.stream.index].packets(packet)
        except av.FFmpegError:  # it cannot be decoded
            self._refused.append(refusal)
            return
        for new in packets:
            self._mux(new, refusal)

    def _mux(self, packet: Packet[Stream], refusal: _Refusal) -> None:
        import av.error

        try:
            self._target.mux(packet)
            self._written.add(refusal.index)
        except (av.error.ArgumentError, av.error.InvalidDataError, av.error.PermissionError):
            # An invalid time stamp or no header; muxers return -1 (EPERM) where they have no code.
            self._refused.append(refusal)


def _seconds(packet: Packet[Stream]) -> Fraction | None:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return None if stamp is None else stamp * time_base(packet)


def _is_left_out(stream: Stream, source: InputContainer, video: Stream) -> bool:
    """Whether a track is a second video, or data that is not in the result in another form."""
    if stream.type == "data":
        if codec_name(stream) == "dvd_nav_packet":  # says where the pictures lie on that disc
            return False
        return not (is_chapter_track(stream, source) or is_timecode_track(stream, video))
    return stream.type == "video" and stream is not video and not is_cover(stream)


def track_units(source: InputContainer) -> list[Fraction]:
    """Return the time bases of the tracks that are copied, seconds."""
    return [time_base(stream) for stream in select_copied_tracks(source)]
