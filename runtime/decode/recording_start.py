"""Find the first clean picture of a recording that begins in the middle of a group of pictures.

    packets     P  B  B  P  B  B | I  P  B  B ...      I is the first that needs no other
    decoded     grey, or nothing | clean

At the beginning of a file, the frames before it are left out. Those of a recording that was joined
to another are replaced by its last frame, so that nothing that follows moves. Frames that are
damaged later are kept, and so are those of a recording that begins with a key frame.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

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


class RecordingStart:
    """The beginning of a recording: of a file, or of one that was joined to another.

    Attributes:
        begins_with_key: Whether the first packet is a key frame; True before it.
        first_pts: Least PTS of the packets.
        clean_pts: PTS of the first clean picture, where that was looked for.

    Args:
        codec: FFmpeg's name of the codec.
    """

    def __init__(self, codec: str) -> None:
        self.begins_with_key = True
        self.first_pts: int | None = None
        self.clean_pts: int | None = None
        self._first_key_pts: int | None = None
        self._has_begun = False
        self._is_marked = codec in _MARKED
        self._has_key_frames = codec in _WITH_KEY_FRAMES

    def sent(self, pts: int | None, *, is_key: bool) -> None:
        """Record a packet that is sent to the decoder."""
        if not self._has_begun:
            self._has_begun, self.begins_with_key = True, is_key
        if is_key and self._first_key_pts is None:
            self._first_key_pts = pts
        if pts is not None:
            self.first_pts = pts if self.first_pts is None else min(pts, self.first_pts)

    def is_clean(self, frame: av.VideoFrame, *, is_draining: bool) -> bool:
        """Whether a frame needs no picture from before the recording; for the first of such.

        Args:
            frame: Decoded frame.
            is_draining: Whether it is one of the last that the decoder returns, without more
                packets.
        """
        if not self._is_marked:
            is_key = self.begins_with_key or not self._has_key_frames or frame.key_frame
            return bool(is_key)
        key = self._first_key_pts if self.begins_with_key else None
        is_preceding = frame.pts is not None and key is not None and frame.pts < key
        if self.begins_with_key and not is_preceding:
            return True
        # The last frames of a decoder have no mark.
        is_told = not is_draining or bool(frame.key_frame)
        return is_told and not frame.is_corrupt

    def is_before_clean(self, pts: int) -> bool:
        """Whether a frame of the recording comes before the first clean picture."""
        is_of_it = self.first_pts is not None and pts >= self.first_pts
        return is_of_it and (self.clean_pts is None or pts < self.clean_pts)
