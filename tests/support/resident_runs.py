"""Runs of `vsrc infer` whose frames may stay on the device; see resident_video.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult

Make = Callable[..., Any]
SIZE = (72, 80)
"""H and W of the clips and of the engines, pixels."""
STAYS = "decoded by NVDEC on CUDA device 0; frames stay there up to libx264"
"""The line of a run whose frames stay on the device."""


_heard: list[Any] = []


def upscale(source: Path, package: Path, output: Path, **options: Any) -> FileResult:  # noqa: ANN401
    """Upscale a clip with NVDEC, engines of TensorRT for RTX and lossless NVENC."""
    asked: dict[str, Any] = {"hwaccel": "cuda", "codec": "nvenc", "crf": 0, "precision": "fp32"}
    asked |= {"backend": "trt-rtx", "threads": 1, "overwrite": True, **options}
    config = InferConfig((source,), output, model=package, **asked)
    (result,) = infer(config, progress=_heard.append).files
    return result


def notes() -> tuple[str, ...]:
    """Notes of the last run, as its progress told them at the end."""
    return tuple(_heard[-1].notes)


def all_notes() -> list[str]:
    """Notes of all runs of this process so far."""
    return [note for call in _heard for note in call.notes]


def clip_of(write_clip: Make, moving: Make, path: Path, **options: Any) -> Path:  # noqa: ANN401
    """Write a clip of 24 moving frames."""
    options = {"options": {"g": "8", "bf": "2"}, "pts": range(0, 240, 10)} | options
    frames = moving(24, *SIZE)
    made: Path = write_clip(path, frames, **options)
    return made
