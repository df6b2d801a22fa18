"""Quantise the last convolution so that it reads the centre frame's bytes and writes the image's.

    out = round((sum of weights * features + sum of bilinear taps * frame) / 255 * 255)

Features and frame share one tensor, so one scale, 1/255; the scale of the output is 1/255 with zero
point 0, too. Requantising is then the rounding and clipping of the image.

 1. Bilinear taps are whole multiples of the weights' step. At scale 4 they are k/64, where k is
    49 at most, so the step of a channel is 1/64 or, where its taps are small, 1/128. A flat frame
    comes back exactly.
 2. The step of a channel is the finest that reaches its largest weight within 7 bits.
 3. Features are quantised with a scale of their own, `gain * reach / 255`, and read as multiples of
    1/255: the factor is in the weights. A larger gain takes resolution from the features and gives
    it to the weights, whose step rule 1 fixes; it is chosen so that the sum of both errors is
    least.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.rounding import Rounding, round_keeping_sums
from vsrc.export.graphs.bilinear_skip import COLOURS, bilinear_taps
from vsrc.export.graphs.quantise_cpu import WEIGHT_LEVELS

FEATURE_RMS = 1 / 32
"""Assumed root mean square of features behind a Relu, as a share of the largest."""
_GAINS = np.geomspace(1, 4, 25)


@dataclass(frozen=True, eq=False)
class ByteTail:
    """The last convolution in int8.

    Attributes:
        features: Weights of the features, `(O, I, kh, kw)` int8.
        frame: Weights of the frame, `(O, 3, kh, kw)` int8.
        steps: Scale of each output channel, `(O,)`; the output is in [0, 1].
        feature_scale: Scale with which features are quantised to uint8.
    """

    features: NDArray[np.int8]
    frame: NDArray[np.int8]
    steps: NDArray[np.float64]
    feature_scale: float


def quantise_tail(
    weight: NDArray[np.float32],
    *,
    reach: float,
    scale: int,
    rounding: Rounding = round_keeping_sums,
) -> ByteTail | None:
    """Quantise weights of features and add those of the frame.

    Args:
        weight: `(3 s^2, I, kh, kw)`; the axes row, column and colour of a pixel in its block make
            up the channels, in this order.
        reach: Largest value of the features, which are not negative.
        scale: s.
        rounding: Function that rounds the weights of the features.

    Returns:
        None if the steps that the bilinear taps permit do not reach the weights, if the taps do not
        fit into 7 bits at this scale, or if the kernel is smaller than 3x3.
    """
    if min(weight.shape[2:]) < 3:
        return None
    taps, denominator = bilinear_taps(scale)
    common = np.gcd.reduce(taps.reshape(scale, scale, 9), axis=-1)
    whole = taps // common[:, :, None, None]
    finest = WEIGHT_LEVELS // whole.max(axis=(2, 3))
    if finest.min() < 1:
        return None
    coarse = np.repeat((common / denominator).ravel(), COLOURS)
    finest = np.repeat(finest.ravel(), COLOURS)
    exact = weight.astype(np.float64) * reach
    largest = np.maximum(np.abs(exact).max(axis=(1, 2, 3)), 1e-30)

    def parts(gain: float) -> NDArray[np.int64]:
        """Number of steps in one unit of the bilinear taps; 0 where one step is not enough."""
        reached = WEIGHT_LEVELS * coarse / (gain * largest)
        return np.asarray(np.minimum(finest, reached), np.int64)

    def error(gain: float) -> float:
        """Expected squared error of the output, `error^2 / 12` for each rounded number."""
        if parts(gain).min() < 1:
            return np.inf
        of_weights = exact[0].size * np.sum((coarse / parts(gain) * FEATURE_RMS / gain) ** 2)
        return float(of_weights + (gain / 255) ** 2 * np.sum(exact**2))

    gain = float(min(_GAINS, key=error))
    if not np.isfinite(error(gain)):
        return None
    steps = coarse / parts(gain)
    features = rounding(exact * gain / steps[:, None, None, None])
    frame = np.zeros((len(weight), COLOURS, *weight.shape[2:]), np.int8)
    rows, columns = (slice(side // 2 - 1, side // 2 + 2) for side in weight.shape[2:])
    for channel, count in enumerate(parts(gain)):
        row, column = divmod(channel // COLOURS, scale)
        frame[channel, channel % COLOURS, rows, columns] = whole[row, column] * count
    return ByteTail(features.astype(np.int8), frame, steps, gain * reach / 255)
