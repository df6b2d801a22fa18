"""The sections of a latency report; docs/bench.md explains every field."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from vsrc.runtime.latency.config import GateName
from vsrc.runtime.report.distribution import Distribution
from vsrc.runtime.report.interval import Interval
from vsrc.runtime.schema import AtLeastOne, Positive, Sha256, Signed

SubjectKind = Literal["package", "graph", "engine"]


@dataclass(frozen=True)
class Subject:
    """What was measured; None where a graph that vsrc did not write does not say.

    Attributes:
        model: Path of the package, graph or engine as it was named.
        kind: Which of them it is.
        network: Name of the network, or of the file.
        graph_file: File of the graph that ran, relative to its package; None in reports that
            were made before it was noted.
        graph_sha256: Hash of the graph that ran.
        precision: Its arithmetic.
        session: What ran it ("ort-cpu fp32").
        threads: CPU threads inside one operator.
        versions: Package -> version, of what takes part.
        scale: Integer SR/LR side ratio.
        window_frames: Frames fed at once.
        lookahead_frames: Frames after the one restored that must be there first.
        parameters: Weights as deployed.
        gmac_per_frame: Multiply-accumulates for one output frame at this size, 1e9.
        quality_db: PSNR of luma that the package says was measured, the mean over its clips.
        quality_data: What it was measured on.
    """

    model: str
    kind: SubjectKind
    network: str
    graph_file: str | None = field(default=None, kw_only=True)
    graph_sha256: Sha256
    precision: str | None
    session: str
    threads: AtLeastOne
    versions: dict[str, str]
    scale: int | None
    window_frames: int | None
    lookahead_frames: int | None
    parameters: int | None
    gmac_per_frame: float | None
    quality_db: float | None
    quality_data: str | None

    @property
    def graph_words(self) -> str:
        """What ran, and from which file: "ort-cpu fp32 (graphs/fp32.onnx)"."""
        return f"{self.session} ({self.graph_file})" if self.graph_file else self.session


@dataclass(frozen=True)
class Feed:
    """What it was fed: noise of a fixed seed, uint8, in main memory.

    Attributes:
        batch: Windows at once.
        height_px: Rows of an LR frame.
        width_px: Columns of an LR frame.
    """

    batch: AtLeastOne
    height_px: AtLeastOne
    width_px: AtLeastOne


@dataclass(frozen=True)
class Startup:
    """What happens once in a process that did nothing before; the median of all processes.

    Attributes:
        import_ms: Loading vsrc's runtime and the library that runs the graph.
        load_ms: Checking the graph's hash and opening a session on it; where the backend builds
            an engine first, that too.
        first_inference_ms: The first frame; it allocates and may tune.
        engine_build_ms: Building the engine, when it was built; in none of the others.
    """

    import_ms: float
    load_ms: float
    first_inference_ms: float
    engine_build_ms: float | None = None


@dataclass(frozen=True)
class Memory:
    """Main memory of the measuring process, which held nothing else; None where unknown.

    Attributes:
        before_load_bytes: Peak after the imports, before the model was opened.
        peak_bytes: Peak after the last frame.
    """

    before_load_bytes: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Warmup:
    """How the measured series began; see `vsrc.runtime.latency.warmup`.

    Attributes:
        samples_ms: Frames after the first that were not yet steady, ms; in no other number.
        steady: Whether the series kept its level afterwards; None: too few samples to tell.
    """

    samples_ms: tuple[float, ...]
    steady: bool | None


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of the numbers that say most; see `vsrc.runtime.report.interval`.

    They hold what the machine alone would take, too: see `vsrc.runtime.latency.contention`.

    Attributes:
        p50_ms: Of the median.
        p99_ms: Of the 99th percentile.
        mean_ms: Of the mean.
        throughput_fps: Of the throughput, from that of the mean.
    """

    p50_ms: Interval | None
    p99_ms: Interval | None
    mean_ms: Interval | None
    throughput_fps: Interval | None


@dataclass(frozen=True)
class Stream:
    """What the latency means for frames that arrive one after another.

    Attributes:
        fps: Frames a second of the stream, as asked with `--fps`.
        lookahead_ms: Wait for the frames after the one restored: the latency of the method,
            which no faster machine takes away.
        deadline_ms: Time from one frame to the next.
        deadline_misses: Samples that took longer than that.
        deadline_miss_share: The same as a share of all samples.
    """

    fps: float | None
    lookahead_ms: float | None
    deadline_ms: float | None
    deadline_misses: int | None
    deadline_miss_share: float | None


@dataclass(frozen=True)
class Stages:
    """Where the time goes, each stage by itself, ms a frame; None for a stage that is not there.

    Attributes:
        decode_ms: Reading a frame of the sample clip, coded at this size, on a thread of its own.
        upload_ms: From main memory to the device.
        pre_ms: Inside the graph, before the first convolution: layout and normalisation.
        network_ms: From the first convolution to the last.
        post_ms: After the last convolution: shuffling, adding the enlarged frame, rounding.
        download_ms: From the device to main memory.
        encode_ms: Writing a frame with x264 at its default, on a thread of its own.
        enqueue_ms: Time until the call that starts the network returns.
        clock: What pre, network and post were timed with.
        end_to_end_fps: Frames a second of `vsrc infer` on that clip, all threads at work.
        end_to_end_frames: Frames of that clip.
        first_frame_ms: From opening that clip to the first frame at the encoder.
    """

    decode_ms: Distribution | None
    upload_ms: Distribution | None
    pre_ms: Distribution | None
    network_ms: Distribution | None
    post_ms: Distribution | None
    download_ms: Distribution | None
    encode_ms: Distribution | None
    enqueue_ms: Distribution | None
    clock: str | None
    end_to_end_fps: float | None
    end_to_end_frames: int | None
    first_frame_ms: float | None


@dataclass(frozen=True)
class Power:
    """What a frame costs; None where the device cannot tell.

    Attributes:
        source: What is counted ("VDD_IN", "gpu").
        idle_w: Mean before the model was loaded.
        busy_w: Mean while it ran.
        joule_per_frame: (busy_w - idle_w) / throughput_fps.
    """

    source: str | None
    idle_w: float | None
    busy_w: float | None
    joule_per_frame: Signed | None


@dataclass(frozen=True)
class Arithmetic:
    """How much of the machine the network uses.

    Attributes:
        gflop_per_s: 2 x gmac_per_frame x throughput_fps.
        matmul_share: The same as a fraction of the measured matrix-multiply rate: 1.0 means that
            nothing but a smaller or lower-precision network can make it faster.
        frames_gb_per_s: Bytes of the pictures that go in and come out: the least that must move.
        copy_share: The same as a fraction of the measured copy rate.
    """

    gflop_per_s: float | None
    matmul_share: float | None
    frames_gb_per_s: float
    copy_share: float


@dataclass(frozen=True)
class Soak:
    """How it held out.

    Attributes:
        minutes_asked: Longest time, as asked with `--minutes`.
        minutes_run: Time that it ran.
        settled: Whether the temperature had settled at the end; None where there is none to read.
        first_minute_fps: Throughput of the first minute.
        last_minute_fps: Throughput of the last minute.
    """

    minutes_asked: float
    minutes_run: float
    settled: bool | None
    first_minute_fps: float | None
    last_minute_fps: float | None


@dataclass(frozen=True)
class Gate:
    """A limit and whether it was kept.

    Attributes:
        name: Name of the option, with its unit.
        limit: What was demanded.
        measured: What was found.
        passed: False too where nothing could be measured.
    """

    name: GateName
    limit: Positive
    measured: Signed | None
    passed: bool

    def __str__(self) -> str:
        value = "nothing" if self.measured is None else f"{self.measured:.4g}"
        option = "--" + self.name.replace("_", "-")
        return f"{option} {self.limit:g}: {'kept' if self.passed else 'missed'}, measured {value}"
