"""Hand RGB arrays to swscale: in place where that is safe, else through a padded copy.

swscale reads whole vectors, so a few bytes past the last pixel. FFmpeg's own buffers are padded for
that, arrays are not. Memory is mapped in pages, so bytes behind an array that lie in the page of
its last pixel can always be read:

    pages    |                  |                  |
    array    ..................pixels] ....        |      read in place
                                     margin
    array    .................................pixels] ..  copied
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

_PAGE_BYTES = 4096
"""Smallest page of the systems that FFmpeg runs on; larger ones are multiples of it."""

_MARGIN_BYTES = 256
"""More than swscale reads past a row: its widest loop takes 32 pixels of 3 bytes at once."""


class RgbFrames:
    """Makes frames of RGB arrays of one size.

    Args:
        matrix: Code point of the matrix (H.273) that the YUV made of them will have.
        width: Width of the arrays, pixels.
        height: Height of the arrays, pixels.
    """

    def __init__(self, matrix: int, *, width: int, height: int) -> None:
        self._matrix = matrix
        self._size = (width, height)
        self._padded: av.VideoFrame | None = None
        self._pixels: NDArray[np.uint8]

    def __call__(self, rgb: NDArray[np.uint8]) -> av.VideoFrame:
        """Return a frame of `(H, W, 3)` RGB, valid until the next call, as long as `rgb` stays.

        Raises:
            ValueError: The array has another size.
        """
        import av

        width, height = self._size
        if rgb.shape != (height, width, 3):
            raise ValueError(f"{rgb.shape=} is not {(height, width, 3)}: pass (H, W, 3)")
        if not can_be_read_past(rgb):
            return self._copy(rgb)
        frame = av.VideoFrame.from_numpy_buffer(rgb, "rgb24")
        frame.colorspace = self._matrix  # the result copies its tags from here
        return frame

    def _copy(self, rgb: NDArray[np.uint8]) -> av.VideoFrame:
        import av

        if self._padded is None:
            width, height = self._size
            self._padded = av.VideoFrame(width, height, "rgb24")
            self._padded.colorspace = self._matrix
            plane = self._padded.planes[0]
            self._pixels = np.ndarray(
                (height, width, 3),
                np.uint8,
                buffer=memoryview(plane),
                strides=(plane.line_size, 3, 1),
            )
        self._pixels[:] = rgb
        return self._padded


def can_be_read_past(rgb: NDArray[np.uint8]) -> bool:
    """Whether an array is contiguous, and swscale may read a few bytes past its end."""
    if not rgb.flags.c_contiguous:
        return False
    used = (rgb.ctypes.data + rgb.nbytes) % _PAGE_BYTES  # bytes of its last page; 0: all of them
    return 0 < used <= _PAGE_BYTES - _MARGIN_BYTES
