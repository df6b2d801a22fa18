"""Decode frames from the packets of a file and track those that were lost."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, cast

from vsrc.runtime.decode.decode_times import choose_restamping
from vsrc.runtime.decode.frame import Packets
from vsrc.runtime.decode.frames.colour_tags import ColourTags
from vsrc.runtime.decode.media_file import select_copied_tracks
from vsrc.runtime.decode.mpeg_packets import MPEG_CODECS, coded_size, split_pictures
from vsrc.runtime.decode.packet_decoder import DecoderOpener, StreamDecoder
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.decode.recording_cuts import JOINT_PACKETS, RecordingCuts
from vsrc.runtime.decode.recording_start import RecordingStart
from vsrc.runtime.decode.recordings import iter_packets, stream_with_codec
from vsrc.runtime.decode.stamps.continuous_clock import (
    WITH_OWN_CLOCK,
    on_one_clock,
    open_clock,
)
from vsrc.runtime.decode.stamps.lost_frames import (
    ONE_FRAME_ONCE_DAMAGED,
    ONE_FRAME_PER_PACKET,
    LostFrames,
)
from vsrc.runtime.decode.stamps.shown_frames import HIDING_CODECS, shows_frame
from vsrc.runtime.errors import HardwareError
from vsrc.runtime.pyav_versions import is_key_in_index, time_base

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream


_INTERLACED_RUN = 3
"""Interlaced frames in a row after which the stream is interlaced; damage may mark one or two."""

_HELD_BYTES = 256 << 20
"""Most packets that are held back to begin at a key frame, bytes."""


class Decoding:
    """One pass over a file, from its current position to its end.

    Attributes:
        lost: Frames that the decoder has not returned.
        video_packets: Number of video packets that were read.
        last_dts: DTS of the last of them.
        begin_seconds: Time of the first of all packets that were read, seconds.
        end_seconds: End time of the last of all packets that were read, seconds.
        is_complete: Whether the end was reached.
        later: Beginnings of recordings that were joined to the first and cut off from what comes
            before them. Their frames before the first clean picture are not returned.

    Args:
        container: Open file.
        stream: Its video.
        is_interlaced: Whether the stream is known to be interlaced.
        begin: PTS at or before which decoding begins at a key frame; None to begin with the first
            packet. For files in which seeking is not reliable.
        open_decoder: Opens the decoder.
    """

    def __init__(
        self,
        container: InputContainer,
        stream: av.VideoStream,
        *,
        is_interlaced: bool = False,
        begin: int | None = None,
        open_decoder: DecoderOpener = StreamDecoder,
    ) -> None:
        self._container, self._stream = container, stream
        self._open_decoder, self._decoder = open_decoder, open_decoder(stream)
        self._codec_stream: Stream = stream
        self._aside: list[Packet[Stream]] = []
        self._codec = codec_name(stream)
        self._leaves_out = self._codec in ONE_FRAME_ONCE_DAMAGED
        self._is_avi = container.format.name == "avi"
        self.lost = LostFrames(
            one_per_packet=self._codec in ONE_FRAME_PER_PACKET,
            one_once_damaged=self._leaves_out and not self._is_avi,
        )
        self._has_fields = False
        if is_interlaced:
            self.expect_fields()
        self._restamp = choose_restamping(container, stream)
        self._clock = open_clock(container.format.name)
        self._has_own_clock = container.format.name in WITH_OWN_CLOCK
        self._begin = begin
        self._corrupt: list[int] = []
        self._joint = self._refused = -JOINT_PACKETS - 1
        self._interlaced_run = 0
        self._colour_tags = ColourTags()
        self.last_dts: int | None = None
        self._cuts = RecordingCuts(container, stream, self._clock)
        self._start = self._recording = RecordingStart(self._codec)
        self._is_begun = True
        self._size = b""
        self._damaged_before = 0
        self.later: list[RecordingStart] = []
        self.video_packets = 0
        self.begin_seconds: Fraction | None = None
        self.end_seconds = Fraction(0)
        self.is_complete = False
        self._is_draining = False

    @property
    def restarts(self) -> list[Fraction]:
        """Return the continuous times at which the clock restarted, seconds."""
        return self._clock.restarts if self._clock else []

    @property
    def jumps(self) -> list[tuple[Fraction, Fraction]]:
        """Return those of the restarts that are jumps ahead, and by how much, seconds."""
        return self._clock.jumps if self._clock else []

    @property
    def joints(self) -> list[Fraction]:
        """Return when a recording ends or another begins in a track, seconds."""
        return self._clock.joints if self._clock else []

    @property
    def begins_with_key(self) -> bool:
        """Whether the first video packet is a key frame."""
        return self._start.begins_with_key

    @property
    def first_pts(self) -> int | None:
        """Return the least PTS of the packets of the first recording so far."""
        return self._start.first_pts

    def is_clean(self, frame: av.VideoFrame) -> bool:
        """Whether the last returned frame needs no picture from before its recording."""
        return self._recording.is_clean(frame, is_draining=self._is_draining)

    def expect_fields(self) -> None:
        """Let a field have a packet of its own, as in interlaced video."""
        self._has_fields, self.lost.one_per_packet = True, False

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield decoded frames; packets of the other tracks are kept for `take_packets`."""
        import av

        try:
            for packet, is_cut_off in self._from_key_frame(self._cuts.marked(self._packets())):
                if self._changes_size(packet) or is_cut_off:
                    yield from self._begin_recording(packet)
                for picture in self._pictures(packet) if not self._repeats_picture(packet) else ():
                    yield from self._decoded(picture)
        except av.FFmpegError:  # the file cannot be read further; the decoder may still hold frames
            self.lost.refused()
            yield from self._decoded(None)
        self.is_complete = True

    def _packets(self) -> Iterator[Packet[Stream]]:
        """Yield the packets of the video, on a continuous clock; those of the rest go aside."""
        tracks = select_copied_tracks(self._container)
        demuxed = iter_packets(self._container, self._stream, tracks)
        for packet, is_restart in on_one_clock(demuxed, self._clock):
            steps_back = packet.stream is self._stream and self._steps_back(packet)
            if is_restart or steps_back:
                self._excuse_joint()
            if packet.stream is self._stream:
                yield packet
            elif packet.size:
                self._cuts.saw(packet)
                self._saw(packet)
                self._aside.append(packet)

    def _from_key_frame(
        self, packets: Iterator[tuple[Packet[Stream], bool]]
    ) -> Iterator[tuple[Packet[Stream], bool]]:
        """Leave out what precedes the last key frame at or before `begin`."""
        held: list[tuple[Packet[Stream], bool]] = []
        held_bytes = 0
        while self._begin is not None and (entry := next(packets, None)) is not None:
            packet, _ = entry
            is_early = packet.pts is None or packet.pts <= self._begin
            if packet.size and packet.is_keyframe and is_early:
                held, held_bytes = [], 0
                self._aside.clear()
            held.append(entry)
            held_bytes += packet.size
            if not is_early or held_bytes > _HELD_BYTES:
                self._begin = None
        yield from held
        yield from packets

    def flush(self) -> None:
        """Tell the decoder that packets of another place follow."""
        self._decoder.flush()

    def take_packets(self) -> Packets:
        """Return the packets of the other tracks since the last call."""
        packets = tuple(self._aside)
        self._aside.clear()
        return packets

    def _pictures(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Return a packet, or its parts if damage joined two pictures in it.

        The stamp of the second is extrapolated from that of the previous frame.
        """
        is_parsed = self._has_own_clock and self._codec in MPEG_CODECS
        if not is_parsed or not self.lost.one_per_packet or not packet.size:
            return [packet]
        if self._is_near(self._joint):  # the rest of the last picture, and the first of the next
            return [packet]
        pictures = split_pictures(packet)
        self.lost.damaged += len(pictures) - 1
        return pictures

    def _decoded(self, packet: Packet[Stream] | None) -> list[av.VideoFrame]:
        if packet is not None and packet.size:
            self._restamp(packet)
            self._saw(packet)
            is_key = self._note_start(packet)
            self.video_packets += 1
            is_hidden = self._codec in HIDING_CODECS and not shows_frame(self._codec, bytes(packet))
            if not packet.is_discard and not is_hidden:
                self.lost.sent(packet.pts, is_key=is_key, size=packet.size)
        else:
            self._is_draining = True
        frames = self._after_start(self._frames_of(packet))
        if packet is not None and packet.is_corrupt and not self._is_near(self._joint):
            self.check_concealed("holds damaged packets")
            self.lost.refused()
            self._corrupt.append(self.video_packets)
        for frame in frames:
            self._colour_tags.restore(frame)
            self._interlaced_run = self._interlaced_run + 1 if frame.interlaced_frame else 0
            if self._interlaced_run >= _INTERLACED_RUN:
                self.lost.one_per_packet = False
        if self._is_avi:  # packs two MPEG-4 frames into one packet where there are B-frames
            has_b_frames = self._stream.codec_context.has_b_frames
            self.lost.one_once_damaged = self._leaves_out and not has_b_frames
        return frames

    def _repeats_picture(self, packet: Packet[Stream]) -> bool:
        """Whether a packet says that the last picture stays (Theora I, section 2.5): no bytes."""
        return self._codec == "theora" and not packet.size and packet.pts is not None

    def _note_start(self, packet: Packet[Stream]) -> bool:
        """Note how the video begins; return whether the packet holds a key frame."""
        is_key = packet.is_keyframe
        if not self.video_packets:
            # A damaged packet is none, but the index of the file may know that it was.
            is_key |= not self._has_own_clock and is_key_in_index(self._stream, packet)
        if is_key:
            self._colour_tags.sent_key(packet.pts)
        self._recording.sent(packet.pts, is_key=is_key)
        return is_key

    def _begin_recording(self, packet: Packet[Stream]) -> list[av.VideoFrame]:
        """Return the last frames of a recording, and set up the decoder for the next.

        Args:
            packet: First packet of the next.
        """
        self._is_draining = True
        frames = self._after_start(self._frames_of(None))
        self._excuse_joint()
        self._is_draining = self._is_begun = False
        own = stream_with_codec(packet)
        if own is not self._codec_stream:
            if self._is_near(self._refused):  # it is of the new recording already
                self.lost.excused()
            self._codec_stream, self._codec = own, codec_name(own)
            self._decoder = self._open_decoder(cast("av.VideoStream", own))
            self._leaves_out = self._codec in ONE_FRAME_ONCE_DAMAGED
            self.lost.one_once_damaged = self._leaves_out
            self.lost.one_per_packet = self._codec in ONE_FRAME_PER_PACKET and not self._has_fields
        elif self._decoder.is_usable:
            self._decoder.flush()
        self._recording = RecordingStart(self._codec)
        self._damaged_before = self.lost.damaged
        self.later.append(self._recording)
        return frames

    def _after_start(self, frames: list[av.VideoFrame]) -> list[av.VideoFrame]:
        """Leave out the frames before the first clean picture of a later recording.

        Their packets stay in the ledger, so that the frames count as lost.
        """
        for place, frame in enumerate(frames if not self._is_begun else ()):
            if self.is_clean(frame):
                self._is_begun, self._recording.clean_pts = True, frame.pts
                for _ in range(self.lost.damaged - self._damaged_before):
                    self.lost.excused()
                return frames[place:]
            self.lost.owe(frame.pts)
        return frames if self._is_begun else []

    def _changes_size(self, packet: Packet[Stream]) -> bool:
        """Whether frames of MPEG-1 or 2 get another size: their decoder drops one that it holds."""
        if self._codec not in MPEG_CODECS or not packet.is_keyframe:
            return False
        before, self._size = self._size, coded_size(packet) or self._size
        return before not in (b"", self._size)

    def _steps_back(self, packet: Packet[Stream]) -> bool:
        """Whether a video packet is decoded no later than the one before."""
        last = self.last_dts
        if packet.dts is not None:
            self.last_dts = packet.dts
        return last is not None and packet.dts is not None and packet.dts <= last

    def _excuse_joint(self) -> None:
        """Take back the damage that was noted right before a joint of two recordings."""
        while self._corrupt and self._is_near(self._corrupt.pop()):
            self.lost.excused()
        self._corrupt.clear()
        self._joint = self.video_packets

    def _is_near(self, packet: int) -> bool:
        return abs(self.video_packets - packet) <= JOINT_PACKETS

    def _frames_of(self, packet: Packet[Stream] | None) -> list[av.VideoFrame]:
        """Decode a packet, or drain the decoder (None); returns no frames on a decoding error."""
        import av

        frames: list[av.VideoFrame] = []
        if not self._decoder.is_usable:
            self.lost.refused()
            return frames
        try:
            try:
                frames += self._decoder.decode(packet)
            except av.BlockingIOError:
                frames += self._restart()
                frames += self._decoder.decode(packet)
        except av.EOFError:
            pass
        except av.FFmpegError as error:
            self.check_concealed(f"cannot be decoded ({error.strerror})")
            self.lost.refused()
            self._refused = self.video_packets
        return frames

    def check_concealed(self, what: str) -> None:
        """Raise if the decoder does not conceal damage as the CPU does.

        Raises:
            HardwareError: It does not; `what` is wrong with the video.
        """
        if not self._decoder.conceals_damage:
            raise HardwareError(f"the video {what}, which NVDEC does not conceal")

    def _restart(self) -> list[av.VideoFrame]:
        """Drain and flush a decoder that accepts no more packets.

        The AV1 decoder in FFmpeg 9 keeps a packet that it cannot decode, and blocks on it.
        """
        import av

        self.lost.refused()
        try:
            return self._decoder.decode(None)
        except av.FFmpegError:
            return []
        finally:
            self._decoder.flush()

    def _saw(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None:
            begin = packet.pts * time_base(packet)
            end = begin + (packet.duration or 0) * time_base(packet)
            if self.begin_seconds is None:
                self.begin_seconds, self.end_seconds = begin, end
            self.begin_seconds = min(self.begin_seconds, begin)
            self.end_seconds = max(self.end_seconds, end)
