"""The ranges that the reference of settings states are those that are checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vsrc.compressor.training.config import DISTILL_RANGES, TRAINER_RANGES, DistillConfig
from vsrc.compressor.training.setting_range import SettingRange

GOOD = DistillConfig(data=("clips",))  # type: ignore[arg-type]
RANGES = {**TRAINER_RANGES, **DISTILL_RANGES}


def changed(name: str, value: float) -> DistillConfig:
    """The settings with one of them changed, whatever its type."""
    settings: dict[str, Any] = {name: value}
    return replace(GOOD, **settings)


def outside(allowed: SettingRange) -> list[float]:
    """Values just outside of a range."""
    values = []
    if allowed.low is not None:
        values.append(allowed.low if allowed.is_low_open else allowed.low - 1)
    if allowed.high is not None:
        values.append(allowed.high if allowed.is_high_open else allowed.high + 1)
    return [*values, float("inf"), float("nan")]


@pytest.mark.parametrize("name", RANGES)
def test_values_outside_of_a_range_are_refused(name: str) -> None:
    for value in outside(RANGES[name]):
        with pytest.raises(ValueError, match=rf"^{name}={value} must "):
            changed(name, value)


@pytest.mark.parametrize("name", RANGES)
def test_the_ends_of_a_range_are_allowed(name: str) -> None:
    allowed = RANGES[name]
    ends = [allowed.low] * (not allowed.is_low_open) + [allowed.high] * (not allowed.is_high_open)
    for value in ends:
        if value is not None:
            assert getattr(changed(name, value), name) == value


@pytest.mark.parametrize(
    ("allowed", "text"),
    [
        (SettingRange(1), "1 or more"),
        (SettingRange(0, is_low_open=True), "above 0"),
        (SettingRange(0, 1, is_high_open=True), "[0, 1)"),
        (SettingRange(0, 1, is_low_open=True), "(0, 1]"),
    ],
)
def test_a_range_reads_as_an_interval(allowed: SettingRange, text: str) -> None:
    assert str(allowed) == text
