"""Options and progress reports of `vsrc bench --profile`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.spec import Precision


def _sizes(*triples: tuple[int, int, int]) -> tuple[EdgeSize, ...]:
    return tuple(EdgeSize(*triple) for triple in triples)


@dataclass(frozen=True)
class ProfileConfig:
    """Sizes to measure, and how and how long to measure them.

    Attributes:
        sizes: Sizes to measure. The default covers the family: every width with few and with many
            blocks, including odd widths.
        shapes: Height and width of the LR frames, pixels.
        scale: SR/LR side ratio of the networks.
        window: Number of frames fed at once.
        backend: Backend that runs them; see `vsrc.runtime.backends.opening.BACKENDS`.
        precision: Precision of their graphs.
        threads: CPU threads, 0 for as many as this process may use.
        device: Index of the CUDA device, of those that CUDA_VISIBLE_DEVICES leaves.
        rounds: Number of rounds. Each opens all networks again, in another order, so that a
            disturbance of some seconds affects all alike and widens the intervals.
        seconds: Sampling time of each network in each round, after warm-up.
    """

    sizes: tuple[EdgeSize, ...] = _sizes(
        *((0, 8, 4), (0, 16, 2), (0, 16, 10), (0, 24, 4), (0, 24, 12), (0, 28, 6), (0, 32, 3)),
        *((0, 32, 11), (0, 40, 6), (0, 48, 3), (0, 48, 10), (0, 64, 4), (0, 64, 16)),
    )
    shapes: tuple[tuple[int, int], ...] = ((180, 320),)
    scale: int = 4
    window: int = 5
    backend: str = "auto"
    precision: Precision = "fp32"
    threads: int = 0
    device: int = 0
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
                f"threads={self.threads} must not be negative and rounds={self.rounds} at least 1"
            )
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds={self.seconds} must be a positive number")


@dataclass(frozen=True)
class ProfileProgress:
    """Progress of a running profile: steps done and number of steps of the current stage."""

    stage: Literal["graphs", "measure", "machine"]
    done: int = 0
    total: int = 0
    what: str = ""


def parse_sizes(text: str) -> tuple[EdgeSize, ...]:
    """Parse sizes such as `"0x32x5,16x32x9"` (encoded x features x blocks).

    Raises:
        ValueError: Not of that form.
    """
    sizes = []
    for part in text.lower().split(","):
        numbers = part.strip().split("x")
        if len(numbers) != 3 or not all(number.isdigit() for number in numbers):
            raise ValueError(
                f"size {part.strip()!r} is not ENCODEDxFEATURESxBLOCKS, as in 0x32x5,16x32x9"
            )
        sizes.append(EdgeSize(*map(int, numbers)))
    return tuple(dict.fromkeys(sizes))
