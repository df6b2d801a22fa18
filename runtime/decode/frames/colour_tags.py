"""Keep the colour tags of a frame where a decoder takes them from a later part of the stream.

A decoder fills in the tags that a frame lacks when it returns the frame. It then knows the tags of
the packet that was sent last, which may begin another recording:

    packets sent               P  B  B | I  P  B       I is the first one with tags
    frames returned after I    b  c    |               they have none, and get those of I
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.picture.colour import UNSPECIFIED

if TYPE_CHECKING:
    import av


@dataclass(frozen=True)
class _Tags:
    """Tags that decide how samples become RGB, in FFmpeg's numbers."""

    matrix: int
    samples_range: int

    def without_added(self, earlier: _Tags) -> _Tags:
        """Return these tags but for those that an earlier frame does not have."""
        return _Tags(
            UNSPECIFIED if earlier.matrix == UNSPECIFIED else self.matrix,
            self.samples_range if earlier.samples_range else 0,
        )


class ColourTags:
    """Removes tags that the frames of one pass over a file do not have themselves."""

    def __init__(self) -> None:
        self._earlier: _Tags | None = None
        self._key_pts: int | None = None
        self._begin: int | None = None

    def sent_key(self, pts: int | None) -> None:
        """Record a key frame that is sent to the decoder: tags change with those alone."""
        self._key_pts = pts

    def restore(self, frame: av.VideoFrame) -> None:
        """Remove the tags from a frame that it has from a key frame after it."""
        tags = _Tags(int(frame.colorspace), int(frame.color_range))
        if self._earlier is None or frame.pts is None:
            self._earlier = tags
            return
        own = tags.without_added(self._earlier)
        if own != tags and self._begin is None:
            self._begin = self._key_pts
        if own != tags and self._begin is not None and frame.pts < self._begin:
            frame.colorspace, frame.color_range = own.matrix, own.samples_range
        else:
            self._earlier, self._begin = tags, None
