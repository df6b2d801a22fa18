"""`vsrc infer --dry-run`: what would be done, with what, how long, and in how much memory.

Frames of noise are upscaled by the session that the run would use, at its tile size: so time and
memory are measured where they will be spent. Nothing is written.
"""

from __future__ import annotations

import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.backends.graph_in_use import GraphInUse, graph_of
from vsrc.runtime.decode.clip_layouts import SkippedFile
from vsrc.runtime.decode.sources import find_skipped_of
from vsrc.runtime.encode.targets import check_target
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import OF_THE_RUN, manifest_of
from vsrc.runtime.jobs.job import Job, open_job
from vsrc.runtime.jobs.result import Failure, FileResult, describe_failure
from vsrc.runtime.jobs.run_plan import plan_run
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.jobs.tiling import memory_of_encoder
from vsrc.runtime.jobs.unit import Work, find_finished
from vsrc.runtime.memory import free_bytes, peak_growth
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.sensors.cuda_device import cuda_device
from vsrc.runtime.text.size_text import format_size
from vsrc.runtime.windows.session import PendingPixels

_LEAST_WINDOWS, _MOST_SECONDS = 2, 5.0
"""Windows that are timed: at least so many, and no new one after so many seconds."""


@dataclass(frozen=True)
class FilePlan:
    """What would be done with one input.

    Attributes:
        input: Name of the input.
        output: Path of the result.
        width: Width of the source frames, pixels.
        height: Height of the source frames, pixels.
        output_width: Width of the result, pixels.
        output_height: Height of the result, pixels.
        frames: Number of frames of the result; None where the container does not tell.
        model: Model that would run.
        graph: Its graph, with the backend.
        tile: Side of a tile with its halo, LR pixels; 0 for whole frames.
        frame_ms: Time of the network for a frame, measured, ms.
        seconds: Time of the network for all frames; None where their number is unknown. Decoding
            and encoding run beside it, and add to it only where they are slower.
        memory_bytes: Main memory that frames in queues and the network take; None if it cannot be
            measured.
        free_bytes: Main memory that is free; None if unknown.
        device_bytes: Memory of the GPU that the network takes; None without a GPU.
        notes: What was chosen, and why.
    """

    input: str
    output: str
    width: int
    height: int
    output_width: int
    output_height: int
    frames: int | None
    model: str
    graph: GraphInUse
    tile: int
    frame_ms: float
    seconds: float | None
    memory_bytes: int | None
    free_bytes: int | None
    device_bytes: int | None
    notes: tuple[str, ...]

    @property
    def lines(self) -> tuple[str, ...]:
        """The plan as text, one line for input and output, and one for each choice."""
        frames = "an unknown number of frames" if self.frames is None else f"{self.frames} frames"
        fed = f"in tiles of {self.tile}" if self.tile else "whole frames"
        duration = "" if self.seconds is None else f", about {self.seconds:.0f} s in all"
        memory = [
            f"{text} {size / 1e9:.2f} GB"
            for text, size in (
                ("main memory", self.memory_bytes),
                ("of free", self.free_bytes),
                ("GPU memory", self.device_bytes),
            )
            if size is not None
        ]
        return (
            f"{self.input}: {format_size(self.width, self.height)}, {frames} -> {self.output}: "
            f"{format_size(self.output_width, self.output_height)}",
            f"  {self.model}: {self.graph}, {fed}",
            f"  network {self.frame_ms:.1f} ms per frame{duration}",
            f"  {', '.join(memory) or 'memory is not measured here'}",
            *(f"  {note}" for note in self.notes),
        )


@dataclass(frozen=True)
class RunEstimate:
    """What a run would do, each in the order of the inputs.

    Attributes:
        plans: Plan of each input that would be upscaled.
        done: Results of an earlier run, which would be skipped.
        failures: Inputs that could not be upscaled, where there are several.
        skipped: What is in folders and globs and is neither a video nor an image.
    """

    plans: tuple[FilePlan, ...]
    done: tuple[FileResult, ...] = ()
    failures: tuple[Failure, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()


def estimate_run(config: InferConfig) -> RunEstimate:
    """Plan a run over videos as `infer` would do it, without writing anything.

    Raises:
        VsrcError: As for `infer`.
        ValueError: As for `infer`.
    """
    targets = plan_run(config)
    plans: list[FilePlan] = []
    done: list[FileResult] = []
    failures: list[Failure] = []
    before = _free_on_device(config)
    with closing(RunSessions(config, None)) as network:
        work = Work(config, network, manifest_of(config, targets))
        for target in targets:
            try:
                if (finished := find_finished(target, work)) is not None:
                    done.append(finished)
                    continue
                check_target(target, overwrite=config.overwrite)
                with open_job(target, config, network) as job:
                    plans.append(_plan(job, before))
            except OF_THE_RUN:
                raise
            except Exception as error:
                if len(targets) == 1:
                    raise
                failures.append(describe_failure(target.source.name, error))
    skipped = tuple(find_skipped_of(config.inputs, output=config.output))
    return RunEstimate(tuple(plans), tuple(done), tuple(failures), skipped)


def _plan(job: Job, free_before: int | None) -> FilePlan:
    info, network = job.reader.info, job.session.network
    free = free_bytes()
    frame_ms = 0.0

    def work() -> None:
        nonlocal frame_ms
        frame_ms = _time_frame(job)

    growth = peak_growth(work)
    if growth is None and not frame_ms:
        work()
    queued = round(memory_of_encoder(info, job.config, job.target, job.session))
    after = _free_on_device(job.config) if free_before is not None else None
    on_device = None if free_before is None or after is None else max(0, free_before - after)
    return FilePlan(
        input=job.target.source.name,
        output=str(job.target.path),
        width=info.width,
        height=info.height,
        output_width=info.width * network.scale,
        output_height=info.height * network.scale,
        frames=job.total or None,
        model=_model_name(job),
        graph=graph_of(job.session),
        tile=job.session.tile,
        frame_ms=round(frame_ms, 2),
        seconds=round(frame_ms * job.total / 1000, 1) if job.total else None,
        memory_bytes=None if growth is None else growth + queued,
        free_bytes=free,
        device_bytes=on_device,
        notes=(*job.said, *job.session.notes),
    )


def _model_name(job: Job) -> str:
    return job.model if job.config.model is None else str(job.config.model)


def _time_frame(job: Job) -> float:
    """Time of the network for a frame of the result, ms, once it runs steadily."""
    session, info = job.session, job.reader.info
    network, batch = session.network, job.config.batch
    generator = np.random.default_rng(0)
    is_deep = session.graph.io == "float" and info.depth > 8
    shape, kind = (info.height, info.width, 3), np.uint16 if is_deep else np.uint8
    frame: Pixels = generator.integers(0, 1 << (8 * np.dtype(kind).itemsize), shape, dtype=kind)
    window = np.repeat(frame[None, None], network.window, axis=1)
    windows = np.repeat(window, batch, axis=0)
    ahead = session.ahead
    at = 0

    def run(count: int) -> float:
        """Upscale windows of consecutive frames; each has one frame that the last one had not."""
        nonlocal at
        waiting: deque[PendingPixels] = deque()
        begin = time.perf_counter()
        for _ in range(count):
            keys = [tuple(range(at + one, at + one + network.window)) for one in range(batch)]
            at += batch
            waiting.append(session.start(windows, keys))
            if len(waiting) > ahead:
                waiting.popleft()()
        while waiting:
            waiting.popleft()()
        return time.perf_counter() - begin

    run(max(1, ahead) + 1)  # allocates, captures graphs and fills the ring of features
    count = max(_LEAST_WINDOWS, 2 * (ahead + 1))
    seconds = run(count)
    while seconds < _MOST_SECONDS / 10 and count < 200:
        count *= 2
        seconds = run(count)
    return 1000 * seconds / (count * batch)


def _free_on_device(config: InferConfig) -> int | None:
    """Free memory of the GPU, bytes; None if the backend does not use one, or there is none."""
    if config.backend == "ort":
        return None
    try:
        return cuda_device(config.device).free_bytes
    except VsrcError:
        return None


def format_estimate(estimate: RunEstimate) -> list[str]:
    """Format the plans of a run, and what it would skip, as text."""
    done = [f"{file.input}: {note}" for file in estimate.done for note in file.notes]
    return [*(line for plan in estimate.plans for line in plan.lines), *done]
