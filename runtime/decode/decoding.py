"""Decode frames from the packets of a file and track those that were lost."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.frame import Packets
from vsrc.runtime.decode.lost_frames import (
    ONE_FRAME_ONCE_DAMAGED,
    ONE_FRAME_PER_PACKET,
    LostFrames,
)
from vsrc.runtime.decode.media_file import select_copied_tracks
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream


_PICTURE = b"\0\0\1\0"
"""`picture_start_code` of MPEG-1 and MPEG-2 (ITU-T H.262, table 6-1)."""


class Decoding:
    """One pass over a file, from its current position to its end.

    Attributes:
        lost: Frames that the decoder has not returned.
        video_packets: Number of video packets that were read.
        end_seconds: End time of the last of all packets that were read, seconds.
        is_complete: Whether the end was reached.
    """

    def __init__(
        self, container: InputContainer, stream: av.VideoStream, *, is_interlaced: bool = False
    ) -> None:
        self._container, self._stream = container, stream
        self._aside: list[Packet[Stream]] = []
        codec = codec_name(stream)
        self._leaves_out = codec in ONE_FRAME_ONCE_DAMAGED
        self._is_avi = container.format.name == "avi"
        self.lost = LostFrames(
            # A field may have a packet of its own.
            one_per_packet=codec in ONE_FRAME_PER_PACKET and not is_interlaced,
            one_once_damaged=self._leaves_out and not self._is_avi,
        )
        self._is_parsed_mpeg = codec in ("mpeg1video", "mpeg2video") and (
            container.format.name in ("mpegts", "mpeg")
        )
        self.video_packets = 0
        self.end_seconds = Fraction(0)
        self.is_complete = False

    def frames(self) -> Iterator[av.VideoFrame]:
        """Yield decoded frames; packets of the other tracks are kept for `take_packets`."""
        import av

        tracks = select_copied_tracks(self._container)
        try:
            for packet in self._container.demux(self._stream, *tracks):
                if packet.stream is self._stream:
                    for picture in self._pictures(packet):
                        yield from self._decoded(picture)
                elif packet.size:
                    self._saw(packet)
                    self._aside.append(packet)
        except av.FFmpegError:  # the file cannot be read further; the decoder may still hold frames
            self.lost.refused()
            yield from self._decoded(None)
        self.is_complete = True

    def take_packets(self) -> Packets:
        """Return the packets of the other tracks since the last call."""
        packets = tuple(self._aside)
        self._aside.clear()
        return packets

    def _pictures(self, packet: Packet[Stream]) -> list[Packet[Stream]]:
        """Split a packet in which the parser joined two pictures because a header is damaged.

        A decoder returns one frame for such a packet and reports no error. The second picture has
        no time stamp; it is extrapolated from that of the previous frame.
        """
        if not self._is_parsed_mpeg or not self.lost.one_per_packet or not packet.size:
            return [packet]
        data = bytes(packet)
        second = data.find(_PICTURE, data.find(_PICTURE) + 1)
        if second < 0:
            return [packet]
        self.lost.damaged += 1
        return [_part(packet, data[:second], packet.pts, packet.dts), _part(packet, data[second:])]

    def _decoded(self, packet: Packet[Stream] | None) -> list[av.VideoFrame]:
        if packet is not None and packet.size:
            self._saw(packet)
            self.video_packets += 1
            if not packet.is_discard:
                self.lost.sent(packet.pts, is_key=packet.is_keyframe, size=packet.size)
        frames = self._frames_of(packet)
        if packet is not None and packet.is_corrupt:
            self.lost.refused()
        if self._is_avi:  # packs two MPEG-4 frames into one packet where there are B-frames
            has_b_frames = self._stream.codec_context.has_b_frames
            self.lost.one_once_damaged = self._leaves_out and not has_b_frames
        return frames

    def _frames_of(self, packet: Packet[Stream] | None) -> list[av.VideoFrame]:
        """Decode a packet, or drain the decoder (None); returns no frames on a decoding error."""
        import av

        frames: list[av.VideoFrame] = []
        if not self._stream.codec_context.is_decoder:
            # The decoder could not be opened, and PyAV 19 crashes when it is called once more.
            self.lost.refused()
            return frames
        try:
            try:
                frames += self._stream.decode(packet)
            except av.BlockingIOError:
                frames += self._restart()
                frames += self._stream.decode(packet)
        except av.EOFError:
            pass
        except av.FFmpegError:
            self.lost.refused()
        return frames

    def _restart(self) -> list[av.VideoFrame]:
        """Drain and flush a decoder that accepts no more packets.

        The AV1 decoder in FFmpeg 9 keeps a packet that it cannot decode, and blocks on it.
        """
        import av

        self.lost.refused()
        try:
            return self._stream.decode(None)
        except av.FFmpegError:
            return []
        finally:
            self._stream.codec_context.flush_buffers()

    def _saw(self, packet: Packet[Stream]) -> None:
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * time_base(packet)
            self.end_seconds = max(self.end_seconds, end)


def _part(
    packet: Packet[Stream], data: bytes, pts: int | None = None, dts: int | None = None
) -> Packet[Stream]:
    """Return a new packet with a part of the bytes."""
    import av

    part: Packet[Stream] = av.Packet(data)
    part.stream, part.time_base = packet.stream, packet.time_base
    part.pts, part.dts, part.is_keyframe = pts, dts, packet.is_keyframe
    return part
