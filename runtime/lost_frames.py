"""Which frames a damaged stream owes us: the PTS of packets that went in and never came out."""

from __future__ import annotations

import heapq

# Codecs whose every packet holds one shown frame. VP8 hides its alternate references in packets of
# their own, MPEG-4 in AVI packs two frames into one; there a missing frame proves nothing.
ONE_FRAME_PER_PACKET = frozenset(
    ("av1", "dnxhd", "ffv1", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "prores", "vp9")
)


class LostFrames:
    """Ledger of the packets of one stream.

    A stream whose packets hold a frame each loses a frame only by damage. Where that cannot be said
    of it, and before its first frame (an open GOP may begin with frames that lean on what is not
    there), only as many frames count as lost as packets were refused by the decoder.

    Damage can also make a decoder give frames out of order. A frame that comes after it was given
    up has had its place taken: `is_late` says so.

    Attributes:
        one_per_packet: Whether each packet holds a shown frame.
        damaged: Packets that the decoder refused, or that were marked damaged.
    """

    def __init__(self, *, one_per_packet: bool) -> None:
        self.damaged = 0
        self.one_per_packet = one_per_packet
        self._waiting: list[int] = []
        self._given_up: set[int] = set()
        self._credit = 0
        self._began = False

    def sent(self, pts: int | None) -> None:
        """A packet whose frame should be shown goes to the decoder."""
        if pts is not None:
            heapq.heappush(self._waiting, pts)

    def refused(self) -> None:
        """The decoder could not make anything of a packet."""
        self.damaged += 1
        self._credit += 1

    def is_late(self, pts: int) -> bool:
        """Whether the frame of this PTS was given up before; true once."""
        if pts not in self._given_up:
            return False
        self._given_up.remove(pts)
        return True

    def received(self, pts: int) -> list[int]:
        """PTS of the frames that were lost before this one, which the decoder has just given."""
        late = []
        while self._waiting and self._waiting[0] < pts:
            late.append(heapq.heappop(self._waiting))
        if self._waiting and self._waiting[0] == pts:
            heapq.heappop(self._waiting)
        lost = self._judge(late)
        self._began = True
        return lost

    def rest(self) -> list[int]:
        """PTS of the frames that were lost after the last one, at the end of the stream."""
        late = sorted(self._waiting)
        self._waiting.clear()
        return self._judge(late)

    def _judge(self, late: list[int]) -> list[int]:
        lost = late if self.one_per_packet and self._began else late[: self._credit]
        self._credit = max(0, self._credit - len(late))
        self._given_up.update(lost)
        return lost
