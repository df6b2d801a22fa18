"""What the measuring process of `vsrc bench` hands to the one that reports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate

from vsrc.runtime.bench_sections import SubjectKind
from vsrc.runtime.rates import Rates
from vsrc.runtime.sampling import Series
from vsrc.runtime.spec import NetworkSpec, Quality
from vsrc.runtime.telemetry import Reading

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
        busy: From when to when samples were taken.
    """

    facts: dict[str, str]
    unreadable: dict[str, str]
    totals: tuple[str, ...]
    readings: tuple[Reading, ...]
    idle: tuple[float, float]
    busy: tuple[float, float]


@dataclass(frozen=True)
class Measurement:
    """Raw findings; times in ms, memory in bytes.

    Attributes:
        kind: What was measured.
        name: Of the network, or of the file.
        network: What the graph says of its network; None for one that vsrc did not write.
        quality: What the package says was measured.
        import_ms: Importing the runtime and the library that runs the graph.
        load_ms: From an opened package to a session that is ready.
        first_inference_ms: The first frame.
        series: The samples after it.
        frames_per_run: Output frames of one sample.
        fed_bytes: Size of what goes in and comes out in one run.
        session: Label of the session.
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
    """

    kind: SubjectKind
    name: str
    network: NetworkSpec | None
    quality: tuple[Quality, ...]
    import_ms: float
    load_ms: float
    first_inference_ms: float
    series: Series
    frames_per_run: int
    fed_bytes: int
    session: str
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

    @property
    def runs_ms(self) -> list[tuple[float, ...]]:
        """The steady samples of each process, ms."""
        return split_runs(self.series.steady_ms, self.samples_per_run)


def split_runs(samples_ms: Sequence[float], lengths: Sequence[int]) -> list[tuple[float, ...]]:
    """Samples of several runs as a series for each; all in one where no lengths are given."""
    ends = list(accumulate(lengths)) or [len(samples_ms)]
    return [tuple(samples_ms[start:end]) for start, end in zip([0, *ends], ends, strict=False)]


def joined(found: Sequence[Measurement]) -> Measurement:
    """Several measurements of one thing as one: the samples of all, the rest of the first.

    Peak memory is the largest.
    """
    series = [one.series for one in found]
    steady = [one.steady for one in series if one.steady is not None]
    peaks = [one.peak_bytes for one in found if one.peak_bytes is not None]
    return replace(
        found[0],
        series=Series(
            warmup_ms=tuple(value for one in series for value in one.warmup_ms),
            steady_ms=tuple(value for one in series for value in one.steady_ms),
            steady_wall_seconds=sum(one.steady_wall_seconds for one in series),
            steady=all(steady) if steady else None,
        ),
        peak_bytes=max(peaks, default=None),
        samples_per_run=tuple(len(one.steady_ms) for one in series),
    )
