"""Choose the frame rate of a source from what its header says and from time stamps.

A header may hold the rate of a clock in place of that of the frames: raw DV has 60000, Matroska of
some writers 1000, H.264 in AVI twice the rate. Time stamps decide; where there are none, the rate
that FFmpeg guesses from the stream.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median_low

_FASTEST = 300
"""Rates above this one are not taken from a header without time stamps that agree, frames/s."""

_USUAL_FASTEST = 120
"""Rates up to this one need no check by time stamps if both values of the header agree."""

_STANDARD = tuple(
    Fraction(rate) for rate in ("24000/1001", "24", "25", "30000/1001", "30", "48", "50",
                                "60000/1001", "60", "100", "120000/1001", "120", "240")
)  # fmt: skip

_FALLBACK = Fraction(25)


@dataclass(frozen=True)
class FrameRate:
    """Frame rate of a source.

    Attributes:
        average: Frames per second.
        grid: Least constant rate whose frame times include those of the source, as far as known;
            equal to the average where the rate is constant.
    """

    average: Fraction
    grid: Fraction


def needs_stamps(average: Fraction | None, guessed: Fraction | None) -> bool:
    """Whether the rates in a header leave it open how many frames are shown per second."""
    if average is None or guessed is None:
        return True
    return abs(average / guessed - 1) > Fraction(1, 1000) or average > _USUAL_FASTEST


def choose_rate(
    average: Fraction | None,
    guessed: Fraction | None,
    stamps: Sequence[int] = (),
    time_base: Fraction = Fraction(1),
) -> FrameRate:
    """Choose the frame rate.

    Args:
        average: Average rate in the header, frames/s; None if unknown.
        guessed: Rate that FFmpeg guesses from the header and the stream, frames/s; None if unknown.
        stamps: Time stamps of successive frames, units of `time_base`; empty if unknown.
        time_base: Unit of the stamps, seconds.
    """
    named = [rate for rate in (average, guessed) if rate]
    ordered = sorted(set(stamps))
    steps = [after - before for before, after in itertools.pairwise(ordered)]
    if not steps:
        believed = (rate for rate in (guessed, average) if rate and rate <= _FASTEST)
        rate = next(believed, _FALLBACK)
        return FrameRate(rate, rate)
    middle = median_low(steps)
    regular = [step for step in steps if abs(step - middle) <= max(1, middle / 20)]
    if 4 * len(regular) >= 3 * len(steps):
        rate = _constant(named, regular, time_base, has_gaps=len(regular) < len(steps))
        return FrameRate(rate, rate)
    measured = len(steps) / ((ordered[-1] - ordered[0]) * time_base)
    rate = next((rate for rate in named if measured / 3 < rate < measured * 3), measured)
    finest = min(Fraction(3, 2) / (min(steps) * time_base), Fraction(_USUAL_FASTEST + 1))
    grid = max((other for other in named if rate < other < finest), default=rate)
    return FrameRate(rate, grid)


def _constant(
    named: Sequence[Fraction], steps: Sequence[int], time_base: Fraction, *, has_gaps: bool
) -> Fraction:
    """Return the rate of frames with these steps, which may be rounded to the time base."""
    step = Fraction(sum(steps), len(steps)) * time_base
    # Each stamp is rounded, so the mean of n steps in a row is known to a tick / n.
    tolerance = min(time_base / (1 if has_gaps else len(steps)), step / 10)
    standard = sorted(_STANDARD, key=lambda rate: abs(1 / rate - step))
    for rate in (*named, *standard, Fraction(round(1 / step))):
        if rate and abs(1 / rate - step) <= tolerance:
            return rate
    return (1 / step).limit_denominator(1001)
