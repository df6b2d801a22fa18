"""PSNR and SSIM as commonly reported; the caller chooses Y or RGB, and the border."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# ITU-R BT.601, studio swing, as in MATLAB's rgb2ycbcr; in units of 255.
_LUMA = np.array([65.481, 128.553, 24.966]) / 255.0


SSIM_WINDOW = 11
"""Side of the Gaussian window of SSIM, pixels."""


def luma(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return Y of BT.601 in 16..235, not rounded: `(..., H, W, 3)` uint8 RGB to `(..., H, W)`."""
    return picture @ _LUMA + 16.0


def psnr(
    picture: NDArray[np.uint8], truth: NDArray[np.uint8], *, y_only: bool = True, border: int = 0
) -> float:
    """Peak signal-to-noise ratio, dB, peak 255; infinite for equal images.

    Args:
        picture: Image, `(H, W, 3)` uint8 RGB.
        truth: Reference image, the same shape.
        y_only: Compare luma (the usual protocol) instead of all of RGB.
        border: Width of the ignored border, pixels.
    """
    left, right = _prepare(picture, truth, y_only=y_only, border=border)
    return decibels(float(np.mean((left - right) ** 2)))


def decibels(squared_error: float) -> float:
    """PSNR of a mean squared difference of values in 0..255; infinite for none."""
    return float(10 * np.log10(255.0**2 / squared_error)) if squared_error else float("inf")


def ssim(
    picture: NDArray[np.uint8], truth: NDArray[np.uint8], *, y_only: bool = True, border: int = 0
) -> float:
    """Structural similarity (Wang et al. 2004): 11x11 Gaussian, sigma 1.5, valid windows only.

    Args:
        picture: Image, `(H, W, 3)` uint8 RGB, at least 11 pixels on each side inside the border.
        truth: Reference image, the same shape.
        y_only: Compare luma instead of the mean over R, G and B.
        border: Width of the ignored border, pixels.
    """
    left, right = _prepare(picture, truth, y_only=y_only, border=border)
    if min(left.shape[:2]) < SSIM_WINDOW:
        raise ValueError(f"{left.shape[:2]} is smaller than the 11 x 11 window of SSIM")
    mean_l, mean_r = _blur(left), _blur(right)
    var_l = _blur(left * left) - mean_l**2
    var_r = _blur(right * right) - mean_r**2
    covariance = _blur(left * right) - mean_l * mean_r
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    similarity = ((2 * mean_l * mean_r + c1) * (2 * covariance + c2)) / (
        (mean_l**2 + mean_r**2 + c1) * (var_l + var_r + c2)
    )
    return float(similarity.mean())


def _prepare(
    picture: NDArray[np.uint8], truth: NDArray[np.uint8], *, y_only: bool, border: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if picture.shape != truth.shape:
        raise ValueError(f"{picture.shape=} and {truth.shape=} differ")
    height, width = truth.shape[:2]
    if min(height, width) <= 2 * border:
        raise ValueError(f"{border=} leaves nothing of {height} x {width}")
    inner = np.s_[border : height - border, border : width - border]
    if y_only:
        return luma(picture[inner]), luma(truth[inner])
    return picture[inner].astype(np.float64), truth[inner].astype(np.float64)


def _blur(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """Filter with a Gaussian of 11 taps along H and W, valid region only."""
    taps = np.exp(-((np.arange(11) - 5.0) ** 2) / (2 * 1.5**2))
    taps /= taps.sum()
    for axis in (0, 1):
        lines = np.moveaxis(picture, axis, 0)
        size = len(lines) - 10
        total = taps[0] * lines[:size]
        for start, tap in enumerate(taps[1:], start=1):
            total += tap * lines[start : start + size]
        picture = np.moveaxis(total, 0, axis)
    return picture
