"""Encode a video in parts that depend on nothing before them.

    frames    0 ........ 119 | 120 ...... 239 | 240 ...
    encoder   one            | another        | another
    packets   ---- kept ---->| ---- kept ---->|

What an encoder gives for a part is handed on when the part is complete, and so is a part that is
taken from the store: the order in which a muxer sees packets does not tell them apart.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.segments import SegmentStore, StoredPacket

if TYPE_CHECKING:
    import av
    from av.packet import Packet
    from av.stream import Stream

_FRAMES = 120
_SECONDS = 8
"""A part is no longer than either: a key frame that often costs one or two percent of the bits, and
muxers sort packets over 10 seconds."""

_INTRA_BYTES = 256 << 20
_INTRA_ONLY = frozenset(("dnxhd", "ffv1", "huffyuv", "mjpeg", "png", "prores", "prores_ks"))
"""Encoders whose packets are large, and whose frames are key frames anyway."""


def frames_per_segment(encoder: str, *, width: int, height: int, rate: Fraction) -> int:
    """How many frames make a part, by what does not change when a job is begun again."""
    frames = min(_FRAMES, int(_SECONDS * rate))
    if encoder in _INTRA_ONLY:
        frames = min(frames, _INTRA_BYTES // (2 * width * height))
    return max(8, frames)


class SegmentedEncoder:
    """Turns frames into packets, part by part.

    Attributes:
        frames: Length of a part.
        kept_frames: How many frames, from the first on, need not be encoded again.
    """

    def __init__(
        self,
        fresh: Callable[[], av.VideoCodecContext],
        store: SegmentStore | None,
        *,
        frames: int,
    ) -> None:
        self._fresh = fresh
        self._store = store
        self.frames = frames
        self._kept = store.count if store else 0
        self.kept_frames = self._kept * frames
        self._context: av.VideoCodecContext | None = None
        self._packets: list[StoredPacket] = []
        self._seen = 0
        self._last_dts: int | None = None

    @property
    def saved_frames(self) -> int:
        """How many frames the store holds by now."""
        return self._store.count * self.frames if self._store else 0

    def encode(self, frame: av.VideoFrame | None) -> list[StoredPacket]:
        """Take the next frame; None stands for one that is kept.

        Returns:
            The packets of the part that is complete now, or none.
        """
        index = self._seen // self.frames
        if frame is not None:
            if self._context is None:
                self._context = self._fresh()
            self._take(self._context.encode(frame))
        self._seen += 1
        if self._seen % self.frames:
            return []
        if index < self._kept:
            assert self._store is not None
            return self._in_order(self._store.load(index))
        packets = self._flush()
        if self._store is not None:
            self._store.save(packets)
        return self._in_order(packets)

    def finish(self) -> list[StoredPacket]:
        """The packets of the last part."""
        return self._in_order(self._flush())

    def _flush(self) -> list[StoredPacket]:
        if self._context is not None:
            self._take(self._context.encode(None))
        self._context = None
        packets, self._packets = self._packets, []
        return packets

    def _take(self, packets: list[Packet[Stream]]) -> None:
        for packet in packets:
            pts = packet.pts if packet.pts is not None else packet.dts
            assert pts is not None  # every frame has one
            dts = packet.dts if packet.dts is not None else pts
            duration, is_key = packet.duration or 0, packet.is_keyframe
            self._packets.append(StoredPacket(pts, dts, duration, is_key, bytes(packet)))

    def _in_order(self, packets: list[StoredPacket]) -> list[StoredPacket]:
        """The packets with growing DTS: an encoder begins some frames before its first PTS."""
        ordered = []
        for packet in packets:
            dts = packet.dts
            if self._last_dts is not None and dts <= self._last_dts:
                dts = self._last_dts + 1
            self._last_dts = dts
            ordered.append(
                StoredPacket(packet.pts, dts, packet.duration, packet.is_key, packet.data)
            )
        return ordered
