"""Options of `vsrc bench`, and what it reports while it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

SAMPLES_FOR_P99 = 100
"""A 99th percentile means something once one sample in a hundred can lie beyond it."""

RUNS = 5
LEAST_PER_RUN = 10
"""Iterations that are worth a process of their own."""

GateName = Literal["max_p99_ms", "min_fps", "max_watts", "max_rss_mb"]
GATES: tuple[GateName, ...] = get_args(GateName)


@dataclass(frozen=True)
class BenchConfig:
    """What is measured, for how long, and which limits it must keep.

    Attributes:
        model: A package, or an ONNX file; None for the student that ships with vsrc.
        shape: Height and width of the LR frames, pixels.
        backend: What runs the graph; see `vsrc.runtime.backends.opening.BACKENDS`.
        precision: Name of the graph ("fp32", ...), or `auto`.
        threads: CPU threads, 0 for as many as this process may use.
        iterations: Samples to keep after warm-up, of all runs together; None: as many as `seconds`
            allow.
        seconds: Time to sample for after warm-up, of all runs together, where `iterations` is None.
        runs: Fresh processes to measure in, one after the other: what differs from one to the next
            is what the intervals are made of. None: `RUNS`, but 1 for a soak, and for fewer
            iterations than `LEAST_PER_RUN` in each.
        minutes: Soak: sample until the temperature settles, at most so long; None: no soak.
        stages: Also time each stage, and the whole pipeline on a clip.
        fps: Frames a second of the stream that it shall keep up with; None where none is meant.
        max_p99_ms: Gate: the 99th percentile of latency must not exceed it, ms.
        min_fps: Gate: throughput must reach it, output frames a second.
        max_watts: Gate: mean power while it runs must not exceed it, W.
        max_rss_mb: Gate: peak memory must not exceed it, 1e6 bytes.
    """

    model: Path | None = None
    shape: tuple[int, int] = (180, 320)
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    iterations: int | None = None
    seconds: float = 10.0
    runs: int | None = None
    minutes: float | None = None
    stages: bool = True
    fps: float | None = None
    max_p99_ms: float | None = None
    min_fps: float | None = None
    max_watts: float | None = None
    max_rss_mb: float | None = None

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"shape={self.shape} must be at least 1x1")
        if self.threads < 0:
            raise ValueError(f"threads={self.threads} must not be negative (0: all there are)")
        for name in ("iterations", "runs"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name}={count} must be at least 1")
        for name in ("seconds", "minutes", "fps", *GATES):
            value = getattr(self, name)
            # `not <` refuses NaN too.
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}={value} must be a positive number")
        self._check_together()

    @property
    def run_count(self) -> int:
        """Fresh processes to measure in."""
        if self.runs is not None:
            return self.runs
        few = self.iterations is not None and self.iterations < RUNS * LEAST_PER_RUN
        return 1 if few or self.minutes is not None else RUNS

    def _check_together(self) -> None:
        """Refuse options that are right by themselves and not together."""
        if self.max_p99_ms is not None and (self.iterations or SAMPLES_FOR_P99) < SAMPLES_FOR_P99:
            raise ValueError(
                f"iterations={self.iterations} cannot tell a 99th percentile; a limit on it needs "
                f"at least {SAMPLES_FOR_P99}"
            )
        if self.iterations is not None and self.run_count > self.iterations:
            raise ValueError(
                f"iterations={self.iterations} cannot be shared by runs={self.runs}; every run "
                "takes one at least"
            )
        if self.minutes is not None and (self.iterations is not None or self.run_count > 1):
            raise ValueError("a soak lasts for minutes, once; leave iterations and runs out")


@dataclass(frozen=True)
class BenchProgress:
    """Where a running bench is.

    Attributes:
        stage: What is going on.
        samples: Frames timed so far.
        seconds: Time spent on them.
    """

    stage: Literal["idle", "load", "sample", "stages", "machine"]
    samples: int = 0
    seconds: float = 0.0
