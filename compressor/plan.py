"""Estimate sizes and times of a run without running it."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass

import torch

from vsrc.compressor.build import build
from vsrc.compressor.data.ingest import find_unreadable
from vsrc.compressor.data.library import Skipped
from vsrc.compressor.data.real import check_codecs
from vsrc.compressor.data.training_clips import find_training_clips
from vsrc.compressor.latency_target import resolve_target
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.patch_size import round_patch
from vsrc.compressor.run_header import describe_network
from vsrc.compressor.run_outputs import check_run_outputs
from vsrc.compressor.teacher_cache import open_shards_for
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.contract import check_contract, noise_clips
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.processes import device_of
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.text.count_text import count_text

MEASURED_STEPS = 3


@dataclass(frozen=True)
class DistillPlan:
    """Sizes and times of a run.

    Attributes:
        student: Description of the student.
        teacher: Description of the teacher, if there is one.
        objective_parameters: Number of weights trained along and not kept.
        data: One line per data folder: the recognised layout.
        skipped: Clips that cannot be opened, which the run would skip.
        images_per_step: Number of HR frames upscaled in one step of one process.
        steps: Number of updates of the run.
        step_seconds: Time of a step on noise, seconds; the shortest of a few.
        total_seconds: Estimated time of all steps, seconds.
        peak_bytes: Peak memory while measuring, of the GPU or of this process, bytes.
    """

    student: NetworkSpec
    teacher: NetworkSpec | None
    objective_parameters: int
    data: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    images_per_step: int
    steps: int
    step_seconds: float
    total_seconds: float
    peak_bytes: int

    def text(self) -> str:
        """Summary in a few lines."""
        images = count_text(self.images_per_step, "image")
        hours, minutes = divmod(round(self.total_seconds / 60), 60)
        return "\n".join(
            [
                f"student    {describe_network(self.student)}",
                f"teacher    {'none' if self.teacher is None else describe_network(self.teacher)}",
                f"objective  {self.objective_parameters:,} parameters outside of the student",
                *(f"data       {line}" for line in self.data),
                *(f"skipped    {clip.name}: {clip.reason}" for clip in self.skipped),
                f"step       {images}, {self.step_seconds:.3g} s",
                f"total      {hours} h {minutes:02d} min for {count_text(self.steps, 'step')}",
                f"memory     {self.peak_bytes / 1e9:.2f} GB peak",
            ]
        )


def plan(config: DistillConfig) -> DistillPlan:
    """Build the networks, find the data, and time a few steps on noise.

    Raises:
        VsrcError: As `distill` would, of the outputs, the networks, and data that is not found or
            cannot be opened; of the data only the start is decoded.
    """
    config, _ = resolve_target(round_patch(config))
    check_run_outputs(config)
    if config.degradation == "real":
        check_codecs()
    built = build(config)
    cache = config.teacher_cache
    kept = [] if cache is None else [open_shards_for(config, cache, built)]
    device = device_of(config)
    check_contract(built.distillation, config, device)
    layouts = [find_training_clips(folder, scale=config.scale) for folder in config.data]
    skipped = find_unreadable(layouts) if cache is None else ()
    seconds = min(_step_seconds(built.distillation, config, device) for _ in range(MEASURED_STEPS))
    upscaled = built.distillation.count_upscaled_frames(config.clip_length)
    return DistillPlan(
        student=built.student.spec,
        teacher=None if built.teacher is None else built.teacher.spec,
        objective_parameters=parameter_count(built.distillation.objective),
        data=(
            *map(str, layouts),
            *(shards.text() for shards in kept),
        ),
        skipped=skipped,
        images_per_step=upscaled * config.batch * config.accumulate,
        steps=config.steps,
        step_seconds=seconds,
        total_seconds=seconds * config.steps,
        peak_bytes=torch.cuda.max_memory_allocated()
        if device.type == "cuda"
        else _peak_rss_bytes(),
    )


def _step_seconds(
    distillation: DistillationStep, config: DistillConfig, device: torch.device
) -> float:
    side = config.patch // config.scale
    clips = noise_clips(config, device, batch=config.batch, side=side)
    start = time.perf_counter()
    for _ in range(config.accumulate):
        torch.autograd.backward(list(distillation(*clips).values()))
    distillation.zero_grad()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def _peak_rss_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
