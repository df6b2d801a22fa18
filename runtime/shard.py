"""A share of many inputs for one machine of several."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.targets import Target

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


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four.

    Raises:
        ValueError: It is nothing of the kind.
    """
    found = _WORDS.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no share; write 2/4 for the second of four")
    return Shard(int(found[1]), int(found[2]))


def shared_out(targets: Sequence[Target], shard: Shard) -> list[Target]:
    """The targets of one share: every n-th by path, so that all machines agree without talking."""
    ordered = sorted(targets, key=lambda target: str(target.path))
    return ordered[shard.index - 1 :: shard.count]
