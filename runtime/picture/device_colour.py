"""Maps between RGB of 8 bits and the samples of frames on a device, as the CPU path has them."""

from __future__ import annotations

from vsrc.runtime.picture.colour import FULL, Colour, guess_matrix
from vsrc.runtime.picture.colour_matrix import Affine, rgb_from_yuv, yuv_from_rgb

_WHITE = 255


def rgb_map(colour: Colour, *, depth: int, width: int, height: int) -> Affine:
    """Return the map from samples to RGB.

    Args:
        colour: Tags of the frame.
        depth: Bits per sample.
        width: Width of the frame, pixels, from which an unspecified matrix is guessed.
        height: Height of the frame, pixels.
    """
    matrix = guess_matrix(colour.matrix, width=width, height=height)
    return rgb_from_yuv(matrix, depth=depth, is_full=colour.range == FULL, white=_WHITE)


def sample_map(colour: Colour, *, depth: int, width: int, height: int) -> Affine:
    """Return the map from RGB to samples; arguments as for `rgb_map`."""
    matrix = guess_matrix(colour.matrix, width=width, height=height)
    return yuv_from_rgb(matrix, depth=depth, is_full=colour.range == FULL, white=_WHITE)
