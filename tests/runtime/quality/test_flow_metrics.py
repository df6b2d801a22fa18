from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.quality.flow_metrics import Tof, Warp

cv2 = pytest.importorskip("cv2")

Frames = NDArray[np.uint8]


def textured(height: int = 96, width: int = 128, *, seed: int = 0) -> Frames:
    """Smooth noise, as flow needs it: `(H, W, 3)`."""
    noise = np.random.default_rng(seed).random((height, width, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2.5)
    smooth = (smooth - smooth.min()) / (smooth.max() - smooth.min())
    return np.asarray(smooth * 255, dtype=np.uint8)


def pan(step: int, frames: int = 4) -> list[Frames]:
    """A camera that moves `step` pixels a frame to the right."""
    wide = textured(width=160)
    return [wide[:, step * t : step * t + 128] for t in range(frames)]


def measured(metric: Tof | Warp, sr: list[Frames], truth: list[Frames]) -> float:
    for pair in zip(sr, truth, strict=True):
        metric.add(*pair)
    (value,) = metric.result().values()
    assert value is not None
    return value


def test_the_truth_itself_moves_as_the_truth() -> None:
    assert measured(Tof(0), pan(2), pan(2)) == 0


@pytest.mark.parametrize("step", [1, 3])
def test_tof_of_a_still_is_the_motion_that_it_lacks(step: int) -> None:
    still = [pan(step)[0]] * 4
    # DIS errs a little where the pan brings new pixels in.
    assert measured(Tof(0), still, pan(step)) == pytest.approx(step, rel=0.05)


def test_warping_error_of_a_clean_pan_is_nearly_nothing() -> None:
    # Whole pixels: what is left is where the flow is off by a fraction of one.
    assert measured(Warp(0), pan(2), pan(2)) < 0.1


def test_warping_error_is_the_variance_of_flicker() -> None:
    truth = [textured()] * 5
    rng = np.random.default_rng(3)
    noisy = [np.clip(f + rng.normal(0, 5, f.shape), 0, 255).astype(np.uint8) for f in truth]
    # Two frames with independent noise differ by twice its variance; 1000 * 2 * (5 / 255)^2 = 0.77,
    # and rounding to bytes adds 1/12 to each variance.
    expected = 1000 * 2 * (25 + 1 / 12) / 255**2
    assert measured(Warp(0), noisy, truth) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("metric", [Tof, Warp])
@pytest.mark.parametrize("sizes", [[(8, 9)] * 3, [(96, 128)]])
def test_too_small_or_too_short_clips_have_no_value(
    metric: type[Tof] | type[Warp], sizes: list[tuple[int, int]]
) -> None:
    measuring = metric(0)
    for size in sizes:
        measuring.add(textured(*size), textured(*size))
    assert list(measuring.result().values()) == [None]
