"""What a training run writes: refuse early what would destroy an earlier run or an input."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from vsrc.compressor.training.checkpoint import find_checkpoints
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import OutputError
from vsrc.runtime.output_guard import PlannedOutput, check_outputs, model_files
from vsrc.runtime.package import check_replaceable, create_parent

_FOLDERS_OF_A_RUN = ("checkpoints", "tensorboard", "teacher.vsrc")


def check_run_outputs(config: DistillConfig) -> None:
    """Raise if a run would overwrite an existing run, or what it reads; nothing is changed.

    Raises:
        OutputError: It would.
    """
    inputs, has_started = _inputs(config), _has_started(config)
    overwrite = config.overwrite or (config.resume and has_started)
    check_replaceable(config.output, overwrite=overwrite, inputs=inputs)
    cleared = _FOLDERS_OF_A_RUN if not config.resume else ("teacher.vsrc",)
    replaced = [
        PlannedOutput(config.run_folder / name, "--run-dir", replaces_folder=True)
        for name in cleared
    ]
    check_outputs(replaced, inputs=inputs, overwrite=True)
    if has_started and not (config.resume or config.overwrite):
        raise OutputError(
            f"{config.run_folder} holds a run already: add --resume to continue it, or "
            "--overwrite to start over"
        )


def prepare_outputs(config: DistillConfig) -> None:
    """Check the outputs of a run, create their folder and remove the run that is replaced.

    Raises:
        OutputError: As for `check_run_outputs`.
        OSError: The folder of the output cannot be created or written.
    """
    if int(os.environ.get("RANK", "0")) > 0:
        return  # only the first process checks and removes
    check_run_outputs(config)
    create_parent(config.output)
    if _has_started(config) and not config.resume:
        _clear(config.run_folder)


def _has_started(config: DistillConfig) -> bool:
    return bool(find_checkpoints(config.run_folder / "checkpoints"))


def _inputs(config: DistillConfig) -> list[Path]:
    """List all that a run reads, apart from its recipe."""
    files = (config.teacher_weights, config.student_weights, config.device_profile)
    folders = (*config.data, config.teacher_cache)
    models = model_files(config.student, config.teacher)
    return [*models, *(path for path in (*files, *folders) if path is not None)]


def _clear(run_folder: Path) -> None:
    """Remove the files of a run and nothing else: the folder may hold other files of the user."""
    for name in _FOLDERS_OF_A_RUN:
        shutil.rmtree(run_folder / name, ignore_errors=True)
    (run_folder / "log.jsonl").unlink(missing_ok=True)
