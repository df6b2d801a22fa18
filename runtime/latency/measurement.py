"""What the measuring process of `vsrc bench` hands to the one that reports."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TypeVar

from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.latency.sampling import Series
from vsrc.runtime.latency.sections import SubjectKind
from vsrc.runtime.sensors.telemetry import Reading
from vsrc.runtime.spec import NetworkSpec, Quality

T = TypeVar("T")

STAGES = (
    "decode", "upload", "pre", "network", "post", "download", "encode", "enqueue", "end_to_end",
)  # fmt: skip
"""All that may be timed or missing."""


@dataclass(frozen=True)
class StageTimes:
    """Durations of stages, ms, and of the whole pipeline on a clip.

    Attributes:
        durations_ms: Stage -> durations; a stage that is not there is missing.
        missing: Stage, or `end_to_end`, -> why it is missing.
        clock: What the stages inside the graph were timed with.
        end_to_end_fps: Frames a second of the whole pipeline.
        end_to_end_frames: Frames of the clip.
        first_frame_ms: Until the first frame was with the encoder.
    """

    durations_ms: dict[str, tuple[float, ...]] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    clock: str | None = None
    end_to_end_fps: float | None = None
    end_to_end_frames: int | None = None
    first_frame_ms: float | None = None


@dataclass(frozen=True)
class Watched:
    """What was seen of the device, seconds on the clock of the readings.

    Attributes:
        facts: What does not change.
        unreadable: What cannot be read -> why.
        totals: Power sources that together stand for everything.
        readings: In the order taken.
        idle: From when to when nothing ran; equal where there was no need to wait.
        busy: From when to when samples were taken, by each process.
        began: The zero of that clock, seconds on the clock that all processes share.
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
    """Raw findings of one process or, joined, of several; times in ms, memory in bytes.

    Attributes:
        kind: What was measured.
        name: Of the network, or of the file.
        network: What the graph says of its network; None for one that vsrc did not write.
        quality: What the package says was measured.
        import_ms: Importing the runtime and the library that runs the graph, in each process.
        load_ms: From an opened package to a session that is ready, in each process.
        first_inference_ms: The first frame of each process.
        series: The samples after it.
        frames_per_run: Output frames of one sample.
        fed_bytes: Size of what goes in and comes out in one run.
        session: Label of the session.
        graph_file: File of the graph that ran.
        graph_sha256: Hash of the graph that ran.
        precision: Its arithmetic.
        before_load_bytes: Peak memory before the model was opened; None where unknown.
        peak_bytes: Peak memory after the last sample; None where unknown.
        stages: Where the time goes.
        watched: What the device said.
        rates: How fast this machine is, measured after the samples.
        versions: Package -> version, of what took part.
        samples_per_run: Number of steady samples of each process that measured; empty for one.
        engine_build_ms: Time that it took to build its engine; None where there is none.
        taken_shares: Share of the time of its samples that others took, at most, for each process;
            None where nobody can tell.
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
    versions: dict[str, str]
    samples_per_run: tuple[int, ...] = ()
    engine_build_ms: float | None = None
    taken_shares: tuple[float | None, ...] = (None,)

    @property
    def runs_ms(self) -> list[tuple[float, ...]]:
        """The steady samples of each process, ms."""
        return split_runs(self.series.steady_ms, self.samples_per_run)


def split_runs(samples_ms: Sequence[float], lengths: Sequence[int]) -> list[tuple[float, ...]]:
    """Samples of several runs as a series for each; all in one where no lengths are given."""
    ends = list(accumulate(lengths)) or [len(samples_ms)]
    return [tuple(samples_ms[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def join_measurements(parts: Sequence[Measurement]) -> Measurement:
    """Several measurements of one thing as one.

    Samples and readings are those of all, one process after the other; peak memory is the largest;
    what is the same in all is taken from the first.
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
    """All on the clock of the first."""
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
