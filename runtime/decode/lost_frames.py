"""Which frames a damaged stream owes us: the PTS of packets that went in and never came out."""

from __future__ import annotations

import heapq
from collections import deque

# Codecs whose every packet holds one shown frame. VP8 hides its alternate references in packets of
# their own, MPEG-4 in AVI packs two frames into one; there a missing frame proves nothing.
ONE_FRAME_PER_PACKET = frozenset(
    ("av1", "dnxhd", "ffv1", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "prores", "vp9")
)

# Codecs in which an encoder may leave a frame out, with an empty packet in its place, so that the
# same holds only where damage gives a reason: then the decoder drops without a word what leans on
# what it refused.
ONE_FRAME_ONCE_DAMAGED = frozenset(("flv1", "h263", "mpeg4", "msmpeg4v2", "msmpeg4v3"))

EMPTY_BYTES = 12
"""Such a packet says in a header of up to so many bytes that there is no frame, and no more."""

_MEMORY = 64
"""Frames that are remembered: more than any decoder holds back."""


class LostFrames:
    """Ledger of the packets of one stream.

    A stream whose packets hold a frame each loses a frame only by damage. Where that cannot be said
    of it, only as many frames count as lost as packets were refused by the decoder. The same holds
    of frames that should be shown before the key frame that the stream begins with (in an open GOP
    they lean on what is not there), and of all before the first one if it begins with none.

    Damage can also make a decoder give frames out of order, or twice. A frame that comes after it
    was given up has had its place taken: `is_surplus` says so.

    Attributes:
        one_per_packet: Whether each packet holds a shown frame.
        one_once_damaged: Whether that is so as soon as a packet was refused, and in any case of
            packets that hold more than a header.
        damaged: Packets that the decoder refused, or that were marked damaged.
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
        """A packet whose frame should be shown goes to the decoder; its size is in bytes."""
        if is_key and not self._sent_any:
            self._first_key = pts
        self._sent_any = True
        if pts is not None:
            heapq.heappush(self._waiting, pts)
            if self.one_once_damaged and size > EMPTY_BYTES:
                self._full.add(pts)

    def refused(self) -> None:
        """The decoder could not make anything of a packet."""
        self.damaged += 1
        self._credit += 1
        self.one_per_packet |= self.one_once_damaged

    def is_surplus(self, pts: int) -> bool:
        """Whether the frame of this PTS was given up before (true once), or was there already."""
        if pts in self._received:
            return True
        if pts not in self._given_up:
            return False
        self._given_up.remove(pts)
        return True

    def received(self, pts: int) -> list[int]:
        """PTS of the frames that were lost before this one, which the decoder has just given."""
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
        """PTS of the frames that were lost after the last one, at the end of the stream."""
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
        """Whether a frame that did not come is lost, whatever the decoder said."""
        if not (self.one_per_packet or pts in self._full):
            return False
        return self._began or (self._first_key is not None and pts >= self._first_key)
