"""Find the first clean picture of a recording that begins in the middle of a group of pictures.

    packets     P  B  B  P  B  B | I  P  B  B ...      I is the first that needs no other
    decoded     grey, or nothing | clean

Frames before it are left out. Frames that are damaged later are kept, and so are those of a file
that begins with a key frame.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.decode.decoding import Decoding
from vsrc.runtime.decode.probe import codec_name
from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av

_MARKED = frozenset(("h264", "hevc"))
"""Codecs whose decoders mark each frame that refers to a missing one. Their key frames need not be
clean: a picture may be refreshed column by column, over many frames."""

_WITH_KEY_FRAMES = frozenset(
    (
        "av1", "flv1", "h263", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v2", "msmpeg4v3",
        "vc1", "vp8", "vp9", "wmv1", "wmv2", "wmv3",
    )
)  # fmt: skip
"""Codecs whose decoders tell key frames from others."""


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
        codec = codec_name(stream)
        self._is_marked = codec in _MARKED
        self._has_key_frames = codec in _WITH_KEY_FRAMES

    def first(self, frames: Iterator[av.VideoFrame]) -> av.VideoFrame | None:
        """Return the first clean frame; None if there is none."""
        for skipped, frame in enumerate(frames):
            if self._is_clean(frame):
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

    def _is_clean(self, frame: av.VideoFrame) -> bool:
        decoding = self._decoding
        if not self._is_marked:
            is_key = decoding.begins_with_key or not self._has_key_frames or frame.key_frame
            return bool(is_key)
        key = decoding.first_key_pts if decoding.begins_with_key else None
        is_preceding = frame.pts is not None and key is not None and frame.pts < key
        if decoding.begins_with_key and not is_preceding:
            return True
        # The last frames of a decoder have no mark.
        is_told = not decoding.is_draining or bool(frame.key_frame)
        return is_told and not frame.is_corrupt

    def _leave_out(self, first: av.VideoFrame, skipped: int) -> None:
        """Forget what comes before the first clean frame."""
        self.left_out = skipped
        if first.pts is None:
            return
        self.left_out = max(skipped, self._decoding.lost.began_at(first.pts))
        begin = self._decoding.first_pts
        if self.left_out and begin is not None:
            self.skipped = max(Fraction(0), (first.pts - begin) * self._unit)
