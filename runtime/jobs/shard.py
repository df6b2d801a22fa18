"""A share of many inputs, or of one long one, for one machine of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.encode.targets import Target

_WORDS = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class Shard:
    """The i-th of n shares; i counts from 1, as people do.

    Attributes:
        index: i.
        count: n.
    """

    index: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.index <= self.count:
            raise ValueError(f"shard {self.index}/{self.count} does not exist; write 1/4 to 4/4")

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"


@dataclass(frozen=True)
class Unit:
    """What one machine does without looking up: an input, or a piece of a long one.

    Attributes:
        target: The input and where its result goes.
        number: Which piece, counted from 0.
        count: Pieces there are; 1 for the whole input.
    """

    target: Target
    number: int = 0
    count: int = 1


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four.

    Raises:
        ValueError: It is nothing of the kind.
    """
    match = _WORDS.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no share; write 2/4 for the second of four")
    return Shard(int(match[1]), int(match[2]))


def select_share(units: Sequence[Unit], shard: Shard) -> list[Unit]:
    """The units of one share: every n-th by path, so that all machines agree without talking."""
    ordered = sorted(units, key=lambda unit: (str(unit.target.path), unit.number))
    return ordered[shard.index - 1 :: shard.count]
