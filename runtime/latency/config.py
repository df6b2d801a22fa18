"""Options and progress reports of `vsrc bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

SAMPLES_FOR_P99 = 100
"""Smallest number of samples for a 99th percentile: one sample in a hundred can exceed it."""

RUNS = 5
LEAST_PER_RUN = 10
"""Smallest number of iterations for which a separate process is started."""

GateName = Literal["max_p99_ms", "min_fps", "max_watts", "max_rss_mb"]
GATES: tuple[GateName, ...] = get_args(GateName)


@dataclass(frozen=True)
class BenchConfig:
    """What to measure, for how long, and the limits to check.

    Attributes:
        model: Path of a package, ONNX file or engine; None for the student that ships with vsrc.
        shape: Height and width of the LR frames, pixels.
        backend: Backend that runs the graph; see `vsrc.runtime.backends.opening.BACKENDS`.
        precision: Name of the graph ("fp32", ...), or `auto`.
        threads: CPU threads, 0 for as many as this process may use.
        device: Index of the CUDA device, of those that CUDA_VISIBLE_DEVICES leaves.
        iterations: Number of samples after warm-up, over all runs; None: as many as fit into
            `seconds`.
        seconds: Sampling time after warm-up, over all runs, if `iterations` is None.
        runs: Number of fresh processes, run one after the other; the intervals are computed from
            the differences between them. None: `RUNS`, but 1 for a soak, and fewer if each would
            have fewer iterations than `LEAST_PER_RUN`.
        minutes: Longest duration of a soak, which samples until the temperature settles, minutes;
            None: no soak.
        stages: Whether each stage and the whole pipeline on a clip are timed as well.
        fps: Frame rate of the stream to keep up with, frames/s; None for no stream.
        max_p99_ms: Gate: upper limit of the 99th percentile of latency, ms.
        min_fps: Gate: lower limit of the throughput, output frames/s.
        max_watts: Gate: upper limit of the mean power under load, W.
        max_rss_mb: Gate: upper limit of peak memory, 1e6 bytes.
    """

    model: Path | None = None
    shape: tuple[int, int] = (180, 320)
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    device: int = 0
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
            raise ValueError(f"threads={self.threads} must not be negative (0: one per core)")
        for name in ("iterations", "runs"):
            count = getattr(self, name)
            if count is not None and count < 1:
                raise ValueError(f"{name}={count} must be at least 1")
        for name in ("seconds", "minutes", "fps", *GATES):
            value = getattr(self, name)
            # `not <` rejects NaN too.
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name}={value} must be a positive number")
        self._check_together()

    @property
    def run_count(self) -> int:
        """Number of fresh processes to measure in."""
        if self.runs is not None:
            return self.runs
        few = self.iterations is not None and self.iterations < RUNS * LEAST_PER_RUN
        return 1 if few or self.minutes is not None else RUNS

    def _check_together(self) -> None:
        """Reject options that are valid alone but not together."""
        if self.max_p99_ms is not None and (self.iterations or SAMPLES_FOR_P99) < SAMPLES_FOR_P99:
            raise ValueError(
                f"iterations={self.iterations} is too few for a 99th percentile; a limit on it "
                f"needs at least {SAMPLES_FOR_P99}"
            )
        if self.iterations is not None and self.run_count > self.iterations:
            raise ValueError(
                f"iterations={self.iterations} cannot be split over runs={self.runs}; every run "
                "needs at least one"
            )
        if self.minutes is not None and (self.iterations is not None or self.run_count > 1):
            raise ValueError("a soak is one run of given minutes; leave out iterations and runs")


@dataclass(frozen=True)
class BenchProgress:
    """Progress of a running bench.

    Attributes:
        stage: Current step.
        samples: Number of frames timed so far.
        seconds: Time spent on these frames.
        model: Name of the measured model, as it was typed.
        process: Number of the measuring process of this model, from 1.
        processes: How many processes measure this model.
    """

    stage: Literal["idle", "load", "sample", "stages", "machine"]
    samples: int = 0
    seconds: float = 0.0
    model: str = ""
    process: int = 1
    processes: int = 1
