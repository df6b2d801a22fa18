"""Track frames lost in a damaged stream: PTS of packets that were sent and never received."""

from __future__ import annotations

import heapq
from collections import deque

# Codecs in which every packet holds one displayed frame, but for the hidden frames that
# `shown_frames` recognises. MPEG-4 in AVI packs two frames into one packet: there a missing frame
# proves nothing.
ONE_FRAME_PER_PACKET = frozenset(
    (
        "av1", "dnxhd", "ffv1", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "prores",
        "vp8", "vp9",
    )
)  # fmt: skip

# Codecs in which an encoder may skip a frame and write an empty packet in its place. There a frame
# counts as lost only after damage: the decoder then silently drops frames that depend on a packet
# with an error.
ONE_FRAME_ONCE_DAMAGED = frozenset(("flv1", "h263", "mpeg4", "msmpeg4v2", "msmpeg4v3"))

EMPTY_BYTES = 12
"""Largest size of such an empty packet, which holds only a header, bytes."""

_MEMORY = 64
"""Number of frames that are tracked: more than any decoder delays."""


class LostFrames:
    """Tracks sent packets and received frames of one stream.

    A stream with one frame in each packet loses a frame only by damage. In other streams, only as
    many frames count as lost as packets had decoding errors. The same holds for frames displayed
    before the key frame that the stream begins with (in an open GOP their references are missing),
    and for all frames before the first key frame if the stream begins without one.

    Damage can also make a decoder return frames out of order, or twice. A frame that arrives after
    it was counted as lost has been replaced already: see `is_surplus`.

    Attributes:
        one_per_packet: Whether each packet holds a displayed frame.
        one_once_damaged: Whether that is assumed after the first decoding error, and always for
            packets that hold more than a header.
        damaged: Number of packets with a decoding error, or marked as corrupt.
    """

    def __init__(self, *, one_per_packet: bool, one_once_damaged: bool = False) -> None:
        self.damaged = 0
        self.one_per_packet = one_per_packet
        self.one_once_damaged = one_once_damaged
        self._sent_any = False
        self._first_key: int | None = None
        self._full: set[int] = set()
        self._waiting: list[int] = []
        self._given_up: set[int] = set()
        self._received: deque[int] = deque(maxlen=_MEMORY)
        self._credit = 0
        self._began = False

    def sent(self, pts: int | None, *, is_key: bool = False, size: int = 0) -> None:
        """Record a packet sent to the decoder whose frame is displayed; `size` is in bytes."""
        if is_key and not self._sent_any:
            self._first_key = pts
        self._sent_any = True
        if pts is not None:
            heapq.heappush(self._waiting, pts)
            if self.one_once_damaged and size > EMPTY_BYTES:
                self._full.add(pts)

    def refused(self) -> None:
        """Record a packet that the decoder rejected."""
        self.damaged += 1
        self._credit += 1
        self.one_per_packet |= self.one_once_damaged

    def excused(self) -> None:
        """Take back a rejection: the packet was complete."""
        self.damaged -= 1
        self._credit = max(0, self._credit - 1)

    def owe(self, pts: int | None) -> None:
        """Count a frame as lost that the decoder returned, but that cannot be shown."""
        if pts in self._waiting:
            self._full.add(pts)

    def began_at(self, pts: int) -> int:
        """Forget the packets that are displayed before this PTS, and all damage so far.

        Returns:
            Number of those packets.
        """
        early = [one for one in self._waiting if one < pts]
        self._waiting = [one for one in self._waiting if one >= pts]
        heapq.heapify(self._waiting)
        self._full.difference_update(early)
        self.damaged = self._credit = 0
        return len(early)

    def is_any_due_before(self, pts: int) -> bool:
        """Whether a frame of an earlier PTS was sent and not received."""
        return bool(self._waiting) and self._waiting[0] < pts

    def is_surplus(self, pts: int) -> bool:
        """Whether the frame of this PTS was counted as lost (true once), or is a duplicate."""
        if pts in self._received:
            return pts not in self._waiting
        if pts not in self._given_up:
            return False
        self._given_up.remove(pts)
        return True

    def received(self, pts: int) -> list[int]:
        """Record a decoded frame, and return the PTS of the frames lost before it."""
        self._received.append(pts)
        late = []
        while self._waiting and self._waiting[0] < pts:
            late.append(heapq.heappop(self._waiting))
        if self._waiting and self._waiting[0] == pts:
            heapq.heappop(self._waiting)
        self._full.discard(pts)
        lost = self._judge(late)
        self._began = True
        return lost

    def rest(self) -> list[int]:
        """Return the PTS of the frames lost after the last one, at the end of the stream."""
        late = sorted(self._waiting)
        self._waiting.clear()
        return self._judge(late)

    def _judge(self, late: list[int]) -> list[int]:
        unsure = [pts for pts in late if not self._is_owed(pts)]
        self._full.difference_update(late)
        excused = set(unsure[self._credit :])
        lost = [pts for pts in late if pts not in excused]
        self._credit = max(0, self._credit - len(late))
        self._given_up.update(lost)
        return lost

    def _is_owed(self, pts: int) -> bool:
        """Whether a missing frame counts as lost even without a decoding error."""
        if not (self.one_per_packet or pts in self._full):
            return False
        return self._began or (self._first_key is not None and pts >= self._first_key)
