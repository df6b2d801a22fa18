"""Run the demo: train, export, upscale, score and time, with the functions of the commands."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.compressor.training.config import TRAINING_MODULES
from vsrc.demo.demo_config import DemoConfig
from vsrc.demo.demo_page import (
    BICUBIC_LABEL,
    SHIPPED_LABEL,
    TRAINED_LABEL,
    UpscalerScore,
    write_demo_page,
)
from vsrc.demo.material import FIRST_JUDGED, TRAINING_FRAMES, Frames, Material, prepare
from vsrc.export.config import EXPORT_MODULES
from vsrc.runtime.errors import OutputError
from vsrc.runtime.installation import require_installed
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.runs import bench
from vsrc.runtime.output_guard import PlannedOutput, check_outputs
from vsrc.runtime.package import open_package
from vsrc.runtime.pending_folder import open_pending_folder
from vsrc.runtime.picture.bicubic import upscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.report.template import check_pages
from vsrc.runtime.shipped_models import shipped

if TYPE_CHECKING:
    from vsrc.compressor.distill import DistillCallback
    from vsrc.runtime.windows.session import Session

TEACHER, STUDENT = "edvr-xs", "edge-s"
MARKER = ".vsrc-demo"
"""File that marks a folder as written by the demo, so that it may be replaced."""


@dataclass(frozen=True)
class DemoResult:
    """Scores and output files of the demo.

    Attributes:
        scores: Scores of bicubic, the newly trained student and the shipped student.
        latency: Latency of the shipped student, for frames of the clip's size.
        video: Path of the upscaled clip.
        page: Path of the page with images and scores.
        seconds: Duration of the demo, seconds.
    """

    scores: tuple[UpscalerScore, ...]
    latency: BenchReport
    video: Path
    page: Path
    seconds: float


def demo(
    config: DemoConfig,
    *,
    say: Callable[[str], None] = lambda _line: None,
    report: DistillCallback | None = None,
) -> DemoResult:
    """Run all steps of the demo.

    Args:
        config: Output folder, number of steps and threads.
        say: Called with one line at the start of each step.
        report: Called with the progress of training, as by `distill`.

    Raises:
        MissingDependencyError: A package that a step needs is not installed.
        OutputError: The folder was not written by the demo, or lies in a package.
        VsrcError: A step failed.
    """
    require_installed("vsrc demo", *TRAINING_MODULES, extra="compress")
    require_installed("vsrc demo", *EXPORT_MODULES, extra="export")
    check_pages("vsrc demo")
    started = time.monotonic()
    folder = _fresh(config.output)
    say(f"1/5  cut the sample clip: {TRAINING_FRAMES} frames for training, 36 others for scoring")
    material = prepare(folder)
    say(f"2/5  train {STUDENT} for {config.steps} steps (teacher {TEACHER}, objective std)")
    student = _train(config, material, folder, report)
    say("3/5  export it to ONNX and compare it with torch")
    _export(student)
    say("4/5  upscale the clip")
    video = folder / "upscaled.mp4"
    infer(InferConfig(inputs=(material.low,), output=video, threads=config.threads))
    pictures = _upscale_ways(student, material, config.threads)
    say("5/5  measure the latency of the shipped student")
    height, width = material.lr.shape[1:3]
    latency = bench(
        BenchConfig(
            model=shipped(STUDENT), shape=(height, width), threads=config.threads, seconds=4
        )
    )
    scores = tuple(UpscalerScore(label, _score(sr, material)) for label, sr in pictures.items())
    page = write_demo_page(folder / "index.html", pictures, scores, latency, material)
    return DemoResult(scores, latency, video, page, time.monotonic() - started)


def _fresh(folder: Path) -> Path:
    if os.path.lexists(folder) and (folder.is_symlink() or not (folder / MARKER).exists()):
        raise OutputError(f"{folder} exists and was not written by the demo: choose another")
    check_outputs([PlannedOutput(folder, "-o", is_ours=lambda _path: True)])
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open_pending_folder(folder) as empty:  # so that no moment leaves a folder without marker
        (empty / MARKER).touch()
    return folder


def _train(
    config: DemoConfig, material: Material, folder: Path, report: DistillCallback | None
) -> Path:
    from vsrc.compressor.distill import distill
    from vsrc.compressor.training.config import DistillConfig

    return distill(
        DistillConfig(
            teacher=str(shipped(TEACHER)),
            student=STUDENT,
            data=(material.training_clips,),
            output=folder / "student.vsrc",
            objective="std",
            steps=config.steps,
            batch=4,
            clip_length=3,
            patch=96,
            learning_rate=2e-3,
            warmup=20,
            ema=0.98,
            holdout=0,
            workers=0,
            validate_every=0,
            cache=folder / "cache",
        ),
        report=report,
    )


def _export(student: Path) -> None:
    from vsrc.export.config import ExportConfig
    from vsrc.export.runs.exporting import export

    export(ExportConfig(student))


def _upscale_ways(student: Path, material: Material, threads: int) -> dict[str, Frames]:
    """Upscale the scored frames in three ways."""
    pictures = {BICUBIC_LABEL: upscale(material.lr[FIRST_JUDGED:], 4)}
    for label, path in ((TRAINED_LABEL, student), (SHIPPED_LABEL, shipped(STUDENT))):
        # The new student has no int8 graph: both are judged in fp32.
        session = open_package(path).session(precision="fp32", threads=threads)
        pictures[label] = upscale_clip(session, material.lr)[FIRST_JUDGED:]
        session.close()
    return pictures


def upscale_clip(session: Session, lr: Frames) -> Frames:
    """Upscale every frame of a shot, ends repeated: `(T, H, W, 3)` to `(T, sH, sW, 3)`."""
    radius, last = session.network.radius, len(lr) - 1
    around = np.arange(-radius, radius + 1)
    windows = (lr[np.clip(centre + around, 0, last)][None] for centre in range(len(lr)))
    return np.concatenate([session(window) for window in windows])


def _score(sr: Frames, material: Material) -> float:
    truth = material.hr[FIRST_JUDGED:]
    return float(np.mean([psnr(a, b) for a, b in zip(sr, truth, strict=True)]))
