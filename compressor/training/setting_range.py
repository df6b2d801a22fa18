"""Allowed range of a numeric setting: checked, and written in the reference of settings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SettingRange:
    """An interval; None for no limit.

    Attributes:
        low: Smallest value.
        high: Largest value.
        is_low_open: Whether the smallest value itself is not allowed.
        is_high_open: Whether the largest value itself is not allowed.
    """

    low: float | None = None
    high: float | None = None
    is_low_open: bool = False
    is_high_open: bool = False

    def __contains__(self, value: float) -> bool:
        if self.low is not None and (value < self.low or (self.is_low_open and value == self.low)):
            return False
        if self.high is None:
            return value < float("inf")
        return value < self.high or (value == self.high and not self.is_high_open)

    def __str__(self) -> str:
        if self.low is not None and self.high is not None:
            left, right = "(" if self.is_low_open else "[", ")" if self.is_high_open else "]"
            return f"{left}{self.low:g}, {self.high:g}{right}"
        if self.low is not None:
            return f"above {self.low:g}" if self.is_low_open else f"{self.low:g} or more"
        return "any"


def check_ranges(settings: object, ranges: dict[str, SettingRange]) -> None:
    """Raise if a setting is outside its range; None stands for a setting that is not used.

    Raises:
        ValueError: Names the first such setting, its value and its range.
    """
    for name, allowed in ranges.items():
        value = getattr(settings, name)
        if value is not None and value not in allowed:
            expected = f"lie in {allowed}" if allowed.high is not None else f"be {allowed}"
            raise ValueError(f"{name}={value} must {expected}")
