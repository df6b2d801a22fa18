"""Encode a video in segments that are independent of each other.

    shots     a . . . . . . . . . . . . b . . . . . c . . . .
    segments  | 120      | rest of a    |  b        |  c      a segment ends at 120 frames, or at
    encoder   first      | second       | ...                 a cut once it has 60

The packets of a segment are passed on when it is complete, and so are those of a segment from the
store: the muxer receives packets in the same order in both cases.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.encode.segments import SegmentStore, StoredPacket

if TYPE_CHECKING:
    import av
    from av.packet import Packet
    from av.stream import Stream

_FRAMES = 120
_SECONDS = 8
"""Limits of a segment, frames and seconds: key frames that often cost 1 or 2 % of the bits,
and muxers interleave packets over 10 seconds."""

_INTRA_BYTES = 256 << 20
_INTRA_ONLY = frozenset(("dnxhd", "ffv1", "huffyuv", "mjpeg", "png", "prores", "prores_ks"))
"""Intra-only encoders, with large packets."""


def frames_per_segment(encoder: str, *, width: int, height: int, rate: Fraction) -> int:
    """Return the most frames of a segment, from values that stay the same when a job is resumed."""
    frames = min(_FRAMES, int(_SECONDS * rate))
    if encoder in _INTRA_ONLY:
        frames = min(frames, _INTRA_BYTES // (2 * width * height))
    return max(8, frames)


def ends_segment(length: int, *, starts_shot: bool, most: int) -> bool:
    """Whether a segment of `length` frames ends before the next frame, which may start a shot."""
    return length >= most or (starts_shot and 2 * length >= most)


class SegmentedEncoder:
    """Turns frames into packets, segment by segment.

    Args:
        fresh: Function that opens an encoder.
        store: Store for finished segments; None keeps none.
        most: Longest segment, frames.
        first: Number of the first frame that is passed to `encode`.
    """

    def __init__(
        self,
        fresh: Callable[[], av.VideoCodecContext],
        store: SegmentStore | None,
        *,
        most: int,
        first: int = 0,
    ) -> None:
        self._fresh = fresh
        self._store = store
        self._most = most
        self._first = self._next = first
        self._context: av.VideoCodecContext | None = None
        self._packets: list[StoredPacket] = []
        self._recomputed_frames = self._corrupted_frames = 0
        self._last_dts: int | None = None

    def encode(self, picture: av.VideoFrame | None, frame: ResultFrame) -> list[StoredPacket]:
        """Encode the next frame.

        Args:
            picture: Frame in the encoder's pixel format; None for one that is kept.
            frame: Result frame that it was converted from.

        Returns:
            Packets of the segment that this frame completes, or none.
        """
        length = self._next - self._first
        done = (
            self._close(keep=True)
            if length and ends_segment(length, starts_shot=frame.starts_shot, most=self._most)
            else []
        )
        if picture is not None:
            if self._context is None:
                self._context = self._fresh()
            self._take(self._context.encode(picture))
        self._recomputed_frames += frame.is_recomputed
        self._corrupted_frames += frame.is_corrupted
        self._next += 1
        return done

    def finish(self, *, keep: bool = False) -> list[StoredPacket]:
        """Return the packets of the last segment; `keep` also stores it, for another process."""
        return self._close(keep=keep) if self._next > self._first else []

    def _close(self, *, keep: bool) -> list[StoredPacket]:
        first, self._first = self._first, self._next
        recomputed_frames, self._recomputed_frames = self._recomputed_frames, 0
        corrupted_frames, self._corrupted_frames = self._corrupted_frames, 0
        if self._store is not None and self._store.at(first):
            return self._in_order(self._store.load(first))
        if self._context is not None:
            self._take(self._context.encode(None))
        self._context = None
        packets, self._packets = possible_dts(self._packets), []
        if self._store is not None and keep:
            self._store.save(
                first,
                self._next,
                packets,
                recomputed_frames=recomputed_frames,
                corrupted_frames=corrupted_frames,
            )
        return self._in_order(packets)

    def _take(self, packets: list[Packet[Stream]]) -> None:
        for packet in packets:
            pts = packet.pts if packet.pts is not None else packet.dts
            assert pts is not None  # every frame has one
            dts = packet.dts if packet.dts is not None else pts
            duration, is_key = packet.duration or 0, packet.is_keyframe
            self._packets.append(StoredPacket(pts, dts, duration, is_key, bytes(packet)))

    def _in_order(self, packets: list[StoredPacket]) -> list[StoredPacket]:
        """Make DTS increase across segments: an encoder begins some frames before its first PTS."""
        ordered = []
        for packet in packets:
            dts = packet.dts
            if self._last_dts is not None and dts <= self._last_dts:
                dts = self._last_dts + 1
            self._last_dts = dts
            ordered.append(replace(packet, dts=dts))
        return ordered


def possible_dts(packets: Sequence[StoredPacket]) -> list[StoredPacket]:
    """Fix invalid DTS in a segment: none after its PTS, and the first not earlier than its length.

    x265 takes the delay of its B frames from a frame that a segment of one or two frames lacks; its
    DTS is then an uninitialised value.

    Args:
        packets: Packets of a whole segment, in decoding order.
    """
    shown = sorted(packet.pts for packet in packets)
    if all(2 * shown[0] - shown[-1] <= packet.dts <= packet.pts for packet in packets):
        return list(packets)
    delay = max(at - packet.pts for at, packet in zip(shown, packets, strict=True))
    return [replace(packet, dts=at - delay) for at, packet in zip(shown, packets, strict=True)]
