from __future__ import annotations

import math

import pytest

from vsrc.runtime.text.decibels import format_gain, format_psnr


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (-0.0185, "-0.02 dB"),
        (0.0185, "+0.02 dB"),
        (-0.00001, "+0.00 dB"),
        (-0.0049, "+0.00 dB"),
        (0, "+0.00 dB"),
        (-1.5, "-1.50 dB"),
    ],
)
def test_a_loss_is_negative_and_what_rounds_to_zero_is_not(gain: float, text: str) -> None:
    assert format_gain(gain) == text


@pytest.mark.parametrize("psnr", [None, math.inf])
def test_equal_images_have_no_number(psnr: float | None) -> None:
    assert format_psnr(psnr) == "no difference"


def test_a_psnr_has_the_digits_that_were_asked_for() -> None:
    assert format_psnr(52.345) == "52.3 dB"
    assert format_psnr(52.345, digits=2) in ("52.34 dB", "52.35 dB")
