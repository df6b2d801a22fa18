"""Decide for each track beside the video whether it is copied, encoded, converted or left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from vsrc.runtime.decode.covers import is_cover
from vsrc.runtime.decode.media_file import (
    find_start,
    has_rate,
    path_of,
    select_copied_tracks,
)
from vsrc.runtime.decode.packet_scan import PacketScan, scan_packets
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.track_samples import decode_audio
from vsrc.runtime.encode.audio_encoder import EncodedTrack, choose_format
from vsrc.runtime.encode.copied_track import CopiedTrack, add_copied_stream, is_webvtt
from vsrc.runtime.encode.muxers import WITHOUT_EMPTY, WITHOUT_STAMPS, WITHOUT_START
from vsrc.runtime.encode.muxing_trial import can_hold
from vsrc.runtime.encode.subtitle_converter import open_converter
from vsrc.runtime.encode.tags import copy_tags

if TYPE_CHECKING:
    from av.container import InputContainer, OutputContainer
    from av.packet import Packet
    from av.stream import Stream

_CONTAINERS = {".mkv": "matroska", ".mov": "mov", ".mp4": "mp4", ".ts": "mpegts"}
"""Suffix of each container that is recommended -> FFmpeg's name of it."""


_MOST_MOVED = Fraction(1, 50)
"""By how much copied audio may move against the pictures, seconds."""


class TrackWriter(Protocol):
    """Makes packets of the output from those of a track of the source."""

    def packets(self, packet: Packet[Stream], /) -> list[Packet[Stream]]:
        """Return the packets that this one completes; raise FFmpegError if it is damaged."""

    def rest(self) -> list[Packet[Stream]]:
        """Return the packets that are held back, after the last packet of the source."""


class TrackOpener:
    """Adds tracks of a source to an output.

    Attributes:
        notes: Lines to report to the user: what is not copied as it is, and why.

    Args:
        source: Container to copy from.
        target: Container to copy to.
        samples: Stream index -> some packets of it, as from `open_track_samples`.
        later: Stream index -> other codecs that it has in later recordings, as from
            `find_later_tracks`.
        audio: `copy`, `encode` or `drop`, as in `InferConfig`.
    """

    def __init__(
        self,
        source: InputContainer,
        target: OutputContainer,
        samples: Mapping[int, Sequence[Packet[Stream]]],
        later: Mapping[int, Sequence[str]],
        audio: str,
    ) -> None:
        self.notes: list[str] = []
        self._later = later
        self._source, self._target, self._samples, self._audio = source, target, samples, audio
        self._muxer = target.format.name

    def open(self, stream: Stream) -> TrackWriter | None:
        """Add a track to the output; None if it is left out."""
        if stream.type == "audio":
            return self._open_audio(stream)
        if is_cover(stream) and self._source.file is not None:
            self.notes.append(f"{_name(stream)} is left out: covers cannot be read from a pipe")
            return None
        if self._can_hold(stream):
            return self._copy(stream)
        if stream.type == "subtitle" and (converted := open_converter(self._target, stream)):
            track, copy, codec = converted
            copy_tags(stream, copy)
            self.notes.append(f"{_name(stream)} is converted to {codec}: {self._refusal(stream)}")
            return track
        self._leave_out(stream)
        return None

    def _open_audio(self, stream: Stream) -> TrackWriter | None:
        if self._audio == "drop":
            return None
        if self._muxer in WITHOUT_EMPTY and self._is_empty(stream):
            self.notes.append(describe_empty(_name(stream), self._muxer))
            return None
        if not has_rate(stream):
            return self._open_unknown(stream)
        if self._source.format.name == "wtv" and _is_raw_aac(stream):
            self.notes.append(
                f"{_name(stream)} is incomplete: FFmpeg cannot read all of the AAC that it "
                "writes to .wtv"
            )
        is_asked = self._audio == "encode"
        can_hold_it = self._can_hold(stream)
        has_gaps = can_hold_it and self._would_move(stream)
        later = self._later.get(stream.index, ())
        if can_hold_it and not is_asked and not has_gaps and not later:
            return self._copy(stream)
        chosen = choose_format(self._muxer, stream, self._samples.get(stream.index, ()))
        if chosen is not None:
            copy = chosen.add_stream(self._target)
            copy_tags(stream, copy)
            why = "" if is_asked else self._reason(stream, has_gaps=has_gaps)
            self.notes.append(f"{_name(stream)} is encoded in {chosen.codec}{why}")
            return EncodedTrack(copy, chosen)
        if can_hold_it:
            rest = f"; what is {' and '.join(later)} later is left out" if later else ""
            self.notes.append(f"{_name(stream)} is copied: it cannot be decoded{rest}")
            return self._copy(stream)
        self._leave_out(stream, unless_taken="it is damaged or incomplete")
        return None

    def _open_unknown(self, stream: Stream) -> TrackWriter | None:
        """Encode audio whose sample rate only its packets say; None if none can be decoded."""
        samples = self._samples.get(stream.index, ())
        chosen = choose_format(self._muxer, stream, samples) if decode_audio(samples) else None
        if chosen is None:
            why = "it is truncated or damaged" if samples else "nothing of it is near the beginning"
            self.notes.append(f"{_name(stream)} is left out: {why}, so its sample rate is unknown")
            return None
        copy = chosen.add_stream(self._target)
        copy_tags(stream, copy)
        self.notes.append(f"{_name(stream)} is encoded in {chosen.codec}: it begins late")
        return EncodedTrack(copy, chosen)

    def _reason(self, stream: Stream, *, has_gaps: bool) -> str:
        """Say why audio is encoded that nobody asked to encode."""
        if has_gaps:
            return f" with silence in its gaps: {self._muxer} stores no times (.mkv does)"
        later = self._later.get(stream.index, ())
        if later and self._can_hold(stream):
            return f": it is {codec_name(stream)} first and {' and '.join(later)} later"
        return f": {self._refusal(stream)}"

    def _would_move(self, stream: Stream) -> bool:
        """Whether copied audio would be played at other times, as its gaps are not stored."""
        if self._muxer not in WITHOUT_STAMPS:
            return False
        scan = self._scan
        times = scan.audio.get(stream.index) if scan else None
        if scan is None or times is None:
            return False
        begin = scan.begin if self._muxer in WITHOUT_START else find_start(self._source)
        return max(abs(times.begin - begin), times.displaced) > _MOST_MOVED

    def _is_empty(self, stream: Stream) -> bool:
        """Whether it is known that a track has no packets in the whole file."""
        if self._samples.get(stream.index) or self._scan is None:
            return False
        return not self._scan.is_extrapolated and stream.index not in self._scan.audio

    @cached_property
    def _scan(self) -> PacketScan | None:
        path = path_of(self._source)
        return scan_packets(path) if path else None

    def _copy(self, stream: Stream) -> TrackWriter:
        packets = self._samples.get(stream.index, ())
        copy = add_copied_stream(self._target, stream, packets)
        copy_tags(stream, copy)
        return CopiedTrack(copy)

    def _can_hold(self, stream: Stream, muxer: str | None = None) -> bool:
        if stream.type == "attachment":
            return (muxer or self._muxer) == "matroska"
        return can_hold(muxer or self._muxer, stream, self._samples.get(stream.index, ()))

    def _leave_out(self, stream: Stream, *, unless_taken: str = "") -> None:
        why = self._refusal(stream)
        if unless_taken and not self._takers(stream):
            why = unless_taken
        self.notes.append(f"{_name(stream)} is left out: {why}")

    def _refusal(self, stream: Stream) -> str:
        takers = self._takers(stream)
        best = next((suffix for suffix in takers if suffix in self._take_all), None)
        words = f"{self._muxer} cannot carry it"
        if not takers:
            return "no container that vsrc writes can carry it as it is"
        if best is not None:
            return f"{words} ({best} can, and all other tracks)"
        return f"{words} ({takers[0]} can)"

    def _takers(self, stream: Stream) -> list[str]:
        """Suffixes of the containers that can hold a track as it is."""
        if is_cover(stream):
            return [".mkv", ".mov", ".mp4"]
        return [suffix for suffix, muxer in _CONTAINERS.items() if self._can_hold(stream, muxer)]

    @cached_property
    def _take_all(self) -> frozenset[str]:
        """Suffixes of the containers that can hold every track as it is."""
        copied = select_copied_tracks(self._source)
        tracks = [one for one in copied if one.type != "audio" or has_rate(one)]
        tracks += self._source.streams.attachments
        return frozenset.intersection(
            frozenset(_CONTAINERS), *(frozenset(self._takers(stream)) for stream in tracks)
        )


def _name(stream: Stream) -> str:
    codec = "webvtt" if is_webvtt(stream) else codec_name(stream)
    kind = "cover" if is_cover(stream) else f"{stream.type} track"
    return f"the {kind} {stream.index} ({codec})"


def describe_empty(track: str, muxer: str) -> str:
    """Say why a track without packets is not in the result."""
    return f"{track} is left out: it is empty, and {muxer} carries no empty audio (.mkv does)"


def _is_raw_aac(stream: Stream) -> bool:
    """Whether the frames of AAC lack the headers (ADTS) by which a parser finds them."""
    return codec_name(stream) == "aac" and bool(stream.codec_context.extradata)
