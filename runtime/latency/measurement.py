"""Raw measurements that the measuring process of `vsrc bench` sends to its parent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TypeVar

from vsrc.runtime.latency.backend_rates import BackendRates
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.latency.sampling import Series
from vsrc.runtime.latency.sections import SubjectKind
from vsrc.runtime.sensors.telemetry import Reading
from vsrc.runtime.spec import NetworkSpec, Quality

T = TypeVar("T")

STAGES = (
    "decode", "upload", "pre", "network", "post", "download", "encode", "enqueue", "end_to_end",
)  # fmt: skip
"""Names of the stages, each of which is timed or missing."""


@dataclass(frozen=True)
class StageTimes:
    """Durations of stages, ms, and of the whole pipeline on a clip.

    Attributes:
        durations_ms: Stage -> durations, ms; stages that were not timed are absent.
        missing: Stage, or `end_to_end`, -> why it is missing.
        clock: Clock that timed the stages inside the graph.
        end_to_end_fps: Throughput of the whole pipeline, frames/s.
        end_to_end_frames: Number of frames of the clip.
        first_frame_ms: Time until the first frame reached the encoder, ms.
    """

    durations_ms: dict[str, tuple[float, ...]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    clock: str | None = None
    end_to_end_fps: float | None = None
    end_to_end_frames: int | None = None
    first_frame_ms: float | None = None


@dataclass(frozen=True)
class Watched:
    """Telemetry of the device, in seconds on the clock of the readings.

    Attributes:
        facts: Constant properties of the device.
        unreadable: Sensor that cannot be read -> why.
        totals: Power sources whose sum is the power of the whole device.
        readings: Sensor readings in the order taken.
        idle: Start and end of the idle time; equal if there was no need to wait.
        busy: Start and end of sampling, for each process.
        began: Zero of that clock, seconds on the clock that all processes share.
    """

    facts: dict[str, str]
    unreadable: dict[str, str]
    totals: tuple[str, ...]
    readings: tuple[Reading, ...]
    idle: tuple[float, float]
    busy: tuple[tuple[float, float], ...]
    began: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """Raw measurements of one process, or of several joined; times in ms, memory in bytes.

    Attributes:
        kind: Kind of the subject: package, graph or engine.
        name: Name of the network, or of the file.
        network: Network described in the graph's metadata; None for a graph not written by vsrc.
        quality: Quality scores recorded in the package.
        import_ms: Time to import the runtime and the library that runs the graph, per process.
        load_ms: Time from an opened package to a session that is ready, per process.
        first_inference_ms: Time of the first frame, per process.
        series: Samples after the first frame.
        frames_per_run: Number of output frames of one sample.
        fed_bytes: Size of inputs plus outputs of one run.
        session: Label of the session.
        graph_file: File of the graph that ran.
        graph_sha256: Hash of the graph that ran.
        precision: Precision of that graph.
        before_load_bytes: Peak memory before the model was opened; None where unknown.
        peak_bytes: Peak memory after the last sample; None where unknown.
        stages: Durations of the stages.
        watched: Telemetry of the device.
        rates: Arithmetic and copy rates of this machine, measured after the samples.
        backend_rates: Rates of the backend that ran the network, in the arithmetic of its graph.
        versions: Package -> version, of the libraries used.
        samples_per_run: Number of steady samples of each process; empty for one process.
        engine_build_ms: Time to build the engine; None if there is none.
        taken_shares: Largest share of the sampling time that others can have taken, per process;
            None where unknown.
    """

    kind: SubjectKind
    name: str
    network: NetworkSpec | None
    quality: tuple[Quality, ...]
    import_ms: tuple[float, ...]
    load_ms: tuple[float, ...]
    first_inference_ms: tuple[float, ...]
    series: Series
    frames_per_run: int
    fed_bytes: int
    session: str
    graph_file: str
    graph_sha256: str
    precision: str | None
    before_load_bytes: int | None
    peak_bytes: int | None
    stages: StageTimes
    watched: Watched
    rates: Rates
    backend_rates: BackendRates
    versions: dict[str, str]
    samples_per_run: tuple[int, ...] = ()
    engine_build_ms: float | None = None
    taken_shares: tuple[float | None, ...] = (None,)

    @property
    def runs_ms(self) -> list[tuple[float, ...]]:
        """The steady samples of each process, ms."""
        return split_runs(self.series.steady_ms, self.samples_per_run)


def split_runs(samples_ms: Sequence[float], lengths: Sequence[int]) -> list[tuple[float, ...]]:
    """Split samples into one series per run; a single series if no lengths are given."""
    ends = list(accumulate(lengths)) or [len(samples_ms)]
    return [tuple(samples_ms[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def join_measurements(parts: Sequence[Measurement]) -> Measurement:
    """Join several measurements of the same subject.

    Samples and readings are concatenated, process by process; peak memory is the largest; what is
    the same in all is taken from the first.
    """
    peaks = [part.peak_bytes for part in parts if part.peak_bytes is not None]
    return replace(
        parts[0],
        import_ms=_chain(part.import_ms for part in parts),
        load_ms=_chain(part.load_ms for part in parts),
        first_inference_ms=_chain(part.first_inference_ms for part in parts),
        series=_join_series([part.series for part in parts]),
        watched=_join_watched([part.watched for part in parts]),
        peak_bytes=max(peaks, default=None),
        samples_per_run=tuple(len(part.series.steady_ms) for part in parts),
        taken_shares=_chain(part.taken_shares for part in parts),
    )


def _join_series(series: Sequence[Series]) -> Series:
    steady = [part.steady for part in series if part.steady is not None]
    return Series(
        warmup_ms=_chain(part.warmup_ms for part in series),
        steady_ms=_chain(part.steady_ms for part in series),
        steady_wall_seconds=sum(part.steady_wall_seconds for part in series),
        steady=all(steady) if steady else None,
    )


def _join_watched(seen: Sequence[Watched]) -> Watched:
    """Join telemetry, with all times on the clock of the first."""
    later = [part.began - seen[0].began for part in seen]
    pairs = list(zip(seen, later, strict=True))
    return replace(
        seen[0],
        unreadable={name: why for part in seen for name, why in part.unreadable.items()},
        readings=tuple(
            replace(reading, seconds=reading.seconds + by)
            for part, by in pairs
            for reading in part.readings
        ),
        busy=tuple((start + by, end + by) for part, by in pairs for start, end in part.busy),
    )


def _chain(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(value for part in parts for value in part)
