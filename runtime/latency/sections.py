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
    """What was measured; fields are None for a graph without vsrc's metadata.

    Attributes:
        model: Path of the package, graph or engine as given.
        kind: Kind of the model: package, graph or engine.
        network: Name of the network, or of the file.
        graph_file: File of the graph that ran, relative to its package; None in reports that
            were made before it was noted.
        graph_sha256: Hash of the graph that ran.
        precision: Precision of that graph.
        session: Label of the session that ran it ("ort-cpu fp32").
        threads: CPU threads inside one operator.
        versions: Package -> version, of the libraries used.
        scale: Integer SR/LR side ratio.
        window_frames: Number of frames fed at once.
        lookahead_frames: Number of following frames needed to upscale a frame.
        parameters: Number of weights as deployed.
        gmac_per_frame: Multiply-accumulates for one output frame at this size, 1e9.
        quality_db: PSNR of luma recorded in the package, dB, the mean over its clips.
        quality_data: Clips on which it was measured.
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
    """Input of the network: noise of a fixed seed, uint8, in main memory.

    Attributes:
        batch: Number of windows fed at once.
        height_px: Height of an LR frame, pixels.
        width_px: Width of an LR frame, pixels.
    """

    batch: AtLeastOne
    height_px: AtLeastOne
    width_px: AtLeastOne


@dataclass(frozen=True)
class Startup:
    """Durations of one-time steps in a fresh process; the median over all processes.

    Attributes:
        import_ms: Time to import vsrc's runtime and the library that runs the graph.
        load_ms: Time to check the graph's hash and open a session on it, including the build of an
            engine if the backend does that on opening.
        first_inference_ms: Time of the first frame, which allocates memory and may tune kernels.
        engine_build_ms: Time to build the engine at export; not part of the other fields.
    """

    import_ms: float
    load_ms: float
    first_inference_ms: float
    engine_build_ms: float | None = None


@dataclass(frozen=True)
class Memory:
    """Main memory of the measuring process, which has loaded nothing else; None where unknown.

    Attributes:
        before_load_bytes: Peak memory after the imports, before the model was opened.
        peak_bytes: Peak memory after the last frame.
    """

    before_load_bytes: int | None
    peak_bytes: int | None


@dataclass(frozen=True)
class Warmup:
    """Warm-up of the measured series; see `vsrc.runtime.latency.warmup`.

    Attributes:
        samples_ms: Samples after the first frame and before the series was steady, ms; excluded
            from all other fields.
        steady: Whether the level of the later series stayed constant; None for too few samples.
    """

    samples_ms: tuple[float, ...]
    steady: bool | None


@dataclass(frozen=True)
class Intervals:
    """95 % intervals of the main numbers; see `vsrc.runtime.report.interval`.

    They also cover the values on an otherwise idle machine: see `vsrc.runtime.latency.contention`.

    Attributes:
        p50_ms: Interval of the median, ms.
        p99_ms: Interval of the 99th percentile, ms.
        mean_ms: Interval of the mean, ms.
        throughput_fps: Interval of the throughput, frames/s, derived from that of the mean.
    """

    p50_ms: Interval | None
    p99_ms: Interval | None
    mean_ms: Interval | None
    throughput_fps: Interval | None


@dataclass(frozen=True)
class Stream:
    """Deadlines for frames that arrive one after another at a fixed rate.

    Attributes:
        fps: Frame rate of the stream, frames/s, as given by `--fps`.
        lookahead_ms: Time until the following frames needed to upscale a frame have arrived, ms;
            a latency of the method, independent of the machine.
        deadline_ms: Time from one frame to the next, ms.
        deadline_misses: Number of samples that took longer than that.
        deadline_miss_share: Share of these among all samples, 0..1.
    """

    fps: float | None
    lookahead_ms: float | None
    deadline_ms: float | None
    deadline_misses: int | None
    deadline_miss_share: float | None


@dataclass(frozen=True)
class Stages:
    """Durations of the stages, each timed alone, ms per frame; None for a stage that is absent.

    Attributes:
        decode_ms: Time to decode a frame of the sample clip at this size, on a separate thread.
        upload_ms: Time to copy from main memory to the device.
        pre_ms: Time inside the graph before the first convolution: layout and normalisation.
        network_ms: Time from the first convolution to the last.
        post_ms: Time after the last convolution: pixel shuffle, adding the interpolated frame,
            rounding.
        download_ms: Time to copy from the device to main memory.
        encode_ms: Time to encode a frame with x264 at its default, on a separate thread.
        enqueue_ms: Time until the call that starts the network returns.
        clock: Clock that timed pre, network and post.
        end_to_end_fps: Throughput of `vsrc infer` on that clip with all threads, frames/s.
        end_to_end_frames: Number of frames of that clip.
        first_frame_ms: Time from opening that clip to the first frame at the encoder.
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
    """Power and energy per frame; None where the device has no sensor.

    Attributes:
        source: Sensors that are summed ("VDD_IN", "gpu").
        idle_w: Mean power before the model was loaded, W.
        busy_w: Mean power while it ran, W.
        joule_per_frame: Energy per output frame, J: (busy_w - idle_w) / throughput_fps.
    """

    source: str | None
    idle_w: float | None
    busy_w: float | None
    joule_per_frame: Signed | None


@dataclass(frozen=True)
class Arithmetic:
    """Arithmetic and copy rates of the network as shares of the rates of what ran it.

    Attributes:
        gflop_per_s: Arithmetic rate, 1e9 operations a second: 2 x gmac_per_frame x throughput_fps.
        matmul_share: That rate as a fraction of `backend_rates.matmul_gop_per_s`, which is measured
            in the arithmetic of the graph: at 1.0 only a smaller network, or one in a lower
            precision, can be faster.
        frames_gb_per_s: Input and output frames, 1e9 bytes a second: the least that must be moved.
        copy_share: That rate as a fraction of `backend_rates.copy_gb_per_s`.
    """

    gflop_per_s: float | None
    matmul_share: float | None
    frames_gb_per_s: float
    copy_share: float | None


@dataclass(frozen=True)
class Soak:
    """Result of a soak.

    Attributes:
        minutes_asked: Longest time, as given by `--minutes`.
        minutes_run: Duration of the soak, minutes.
        settled: Whether the temperature had settled at the end; None if there is no sensor.
        first_minute_fps: Throughput of the first minute, frames/s.
        last_minute_fps: Throughput of the last minute, frames/s.
    """

    minutes_asked: float
    minutes_run: float
    settled: bool | None
    first_minute_fps: float | None
    last_minute_fps: float | None


@dataclass(frozen=True)
class Gate:
    """A limit and whether it was met.

    Attributes:
        name: Name of the option, with its unit.
        limit: Limit that was given.
        measured: Measured value; None if it could not be measured.
        passed: Whether the limit was met; false if it could not be measured.
    """

    name: GateName
    limit: Positive
    measured: Signed | None
    passed: bool

    def __str__(self) -> str:
        value = "nothing" if self.measured is None else f"{self.measured:.4g}"
        option = "--" + self.name.replace("_", "-")
        return f"{option} {self.limit:g}: {'met' if self.passed else 'missed'}, measured {value}"
