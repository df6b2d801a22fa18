"""Begin a file with its first clean picture; see `vsrc.runtime.decode.recording_start`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.decoding import Decoding
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av


class CleanStart:
    """The beginning of a file, up to its first clean picture.

    Attributes:
        left_out: Number of frames before that picture, which are left out.
        skipped: Time from the first frame to that picture, seconds.
    """

    def __init__(self, decoding: Decoding, stream: av.VideoStream) -> None:
        self.left_out = 0
        self.skipped = Fraction(0)
        self._decoding = decoding
        self._unit = time_base(stream)

    def first(self, frames: Iterator[av.VideoFrame]) -> av.VideoFrame | None:
        """Return the first clean frame; None if there is none."""
        for skipped, frame in enumerate(frames):
            if self._decoding.is_clean(frame):
                if skipped or not self._decoding.begins_with_key:
                    self._leave_out(frame, skipped)
                return frame
        return None

    @property
    def refusal(self) -> str:
        """Why there is no clean frame."""
        if self._decoding.begins_with_key:
            return "no frame of it can be decoded"
        return (
            "none of its frames can be decoded by itself: it begins in the middle of a group of "
            "pictures, or is damaged"
        )

    def _leave_out(self, first: av.VideoFrame, skipped: int) -> None:
        """Forget what comes before the first clean frame."""
        self.left_out = skipped
        if first.pts is None:
            return
        self.left_out = max(skipped, self._decoding.lost.began_at(first.pts))
        begin = self._decoding.first_pts
        if self.left_out and begin is not None:
            self.skipped = max(Fraction(0), (first.pts - begin) * self._unit)
