"""The share of several inputs, or of one long input, that one of several machines processes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.encode.targets import Target

_WORDS = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Share:
    """The i-th of n shares; i counts from 1.

    Attributes:
        index: Number of the share, i.
        count: Number of shares, n.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            last = max(self.count, 1)
            raise ValueError(f"share {self} does not exist; write 1/{last} to {last}/{last}")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True)
class Unit:
    """Work that one machine does without communication: an input, or a piece of a long input.

    Attributes:
        target: The input and the path of its result.
        number: Index of the piece, counted from 0.
        count: Number of pieces; 1 for the whole input.
    """

    target: Target
    number: int = 0
    count: int = 1


def parse_share(text: str) -> Share:
    """Parse a share; `2/4` is the second of four.

    Raises:
        ValueError: The text does not have this form.
    """
    match = _WORDS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a share; write 2/4 for the second of four")
    return Share(int(match[1]), int(match[2]))


def select_share(units: Sequence[Unit], shard: Share) -> list[Unit]:
    """Select every n-th unit by path, so that all machines agree without communication."""
    ordered = sorted(units, key=lambda unit: (str(unit.target.path), unit.number))
    return ordered[shard.index - 1 :: shard.count]
