"""Options of `vsrc bench --profile`, and what it reports while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.spec import Precision


def _sizes(*triples: tuple[int, int, int]) -> tuple[EdgeSize, ...]:
    return tuple(EdgeSize(*triple) for triple in triples)


@dataclass(frozen=True)
class ProfileConfig:
    """Which sizes are measured, how, and for how long.

    Attributes:
        sizes: The default spans the family: every width shallow and deep, odd widths among them.
        shapes: Height and width of the LR frames, pixels.
        scale: SR/LR side ratio of the networks.
        window: Frames fed at once.
        backend: What runs them; see `vsrc.runtime.backends.opening.BACKENDS`.
        precision: Arithmetic of their graphs.
        threads: CPU threads, 0 for as many as this process may use.
        rounds: Times that each is set up anew, in another order each time: what disturbs a machine
            for some seconds then falls on all alike, and the interval knows of it.
        seconds: Time to sample each for in each round, after warm-up.
    """

    sizes: tuple[EdgeSize, ...] = _sizes(
        *((8, 8, 4), (8, 16, 2), (8, 16, 10), (8, 24, 4), (8, 24, 12), (12, 28, 6), (16, 32, 3)),
        *((16, 32, 9), (16, 40, 6), (16, 48, 3), (16, 48, 10), (16, 64, 4), (16, 64, 16)),
    )
    shapes: tuple[tuple[int, int], ...] = ((180, 320),)
    scale: int = 4
    window: int = 5
    backend: str = "auto"
    precision: Precision = "fp32"
    threads: int = 0
    rounds: int = 5
    seconds: float = 1.0

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            known = ", ".join(get_args(Precision))
            raise ValueError(f"precision={self.precision!r} is not known; there are: {known}")
        if not self.sizes or not self.shapes:
            raise ValueError("a profile needs at least one size and one shape")
        if any(side < 1 for shape in self.shapes for side in shape):
            raise ValueError(f"shapes={self.shapes} must be at least 1x1")
        if self.threads < 0 or self.rounds < 1:
            raise ValueError(
                f"threads={self.threads} must not be negative and rounds={self.rounds} not under 1"
            )
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds={self.seconds} must be a positive number")


@dataclass(frozen=True)
class ProfileProgress:
    """Where a running profile is: how many of how many steps of a stage are done."""

    stage: Literal["graphs", "measure", "machine"]
    done: int = 0
    total: int = 0
    what: str = ""


def parse_sizes(text: str) -> tuple[EdgeSize, ...]:
    """`"8x24x4,16x32x9"` (encoded x features x blocks) as sizes.

    Raises:
        ValueError: Not of that form.
    """
    sizes = []
    for part in text.lower().split(","):
        numbers = part.strip().split("x")
        if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
            raise ValueError(
                f"size {part.strip()!r} is not ENCODEDxFEATURESxBLOCKS, as in 8x24x4,16x32x9"
            )
        sizes.append(EdgeSize(*map(int, numbers)))
    return tuple(dict.fromkeys(sizes))
