"""Teach a student: data, networks, objective and trainer put together, and the package written."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from vsrc import __version__
from vsrc.compressor.batches import batches_from
from vsrc.compressor.build import build
from vsrc.compressor.checkpoint import found as checkpoints_in
from vsrc.compressor.data import ClipDataset, ClipLibrary, open_library, split, validation_clips
from vsrc.compressor.data.library import IngestProgress
from vsrc.compressor.distill_config import DistillConfig
from vsrc.compressor.find_network import FoundNetwork
from vsrc.compressor.lesson import Lesson
from vsrc.compressor.objectives.table import describe as describe_objective
from vsrc.compressor.trainer import Trainer, TrainProgress
from vsrc.compressor.validation import psnr_on
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import (
    WEIGHTS_FILE,
    check_new_folder,
    describe,
    new_folder,
    write_spec,
)
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import Degradation, ModelSpec, Provenance, Quality

Report = Callable[[IngestProgress | TrainProgress], None]

NOT_OF_THE_WEIGHTS = frozenset(
    {
        *("output", "run_dir", "cache", "resume", "overwrite", "workers", "steps", "device"),
        *("checkpoint_every", "log_every", "validate_every", "holdout_clips"),
    }
)
"""Fields that a resumed run may change; `steps` too, to make a finished run longer."""


def distill(config: DistillConfig, *, report: Report | None = None, command: str = "") -> Path:
    """Teach a student and write its package.

    Args:
        config: What, from what, how.
        report: Called after each source that is opened and after each step.
        command: Command line, for the record.

    Returns:
        Path of the package.

    Raises:
        VsrcError: See `vsrc.runtime.errors`; a stopped run leaves a checkpoint.
        ValueError: A name or setting that does not exist or does not fit.
    """
    _refuse_to_lose(config)
    built = build(config)
    library = open_library(
        config.data,
        scale=config.scale,
        degradation=config.degradation,
        cache=config.cache,
        max_height=config.max_height,
        progress=report,
    )
    taught, held = split(library, fraction=config.holdout) if config.holdout else (library, None)
    trainer = _trainer(config, built.lesson, taught, held)
    if config.resume:
        trainer.resume()
    network = trainer.run(report)
    if trainer.accelerator.is_main_process:
        provenance = _provenance(config, built.teacher, taught, command)
        _write(config, built.student, network, provenance, psnr=trainer.psnr)
    trainer.accelerator.wait_for_everyone()
    return config.output


def _refuse_to_lose(config: DistillConfig) -> None:
    """Say before the work, not after it, that something is in the way."""
    if int(os.environ.get("RANK", "0")) > 0:
        return  # one process of several looks, and clears up
    check_new_folder(config.output, overwrite=config.overwrite or config.resume)
    if checkpoints_in(config.run_folder / "checkpoints") and not config.resume:
        if not config.overwrite:
            raise SpecError(
                f"{config.run_folder} holds a run already: add --resume to go on with it, or "
                "--overwrite to begin anew"
            )
        shutil.rmtree(config.run_folder)


def _trainer(
    config: DistillConfig, lesson: Lesson, taught: ClipLibrary, held: ClipLibrary | None
) -> Trainer:
    dataset = ClipDataset(
        taught, clip_length=config.clip_length, patch=config.patch, seed=config.seed
    )
    clips = []
    if held is not None:
        clips = validation_clips(
            held, clip_length=config.clip_length, count=config.holdout_clips, crop=2 * config.patch
        )
    recipe = {k: v for k, v in to_json(config).items() if k not in NOT_OF_THE_WEIGHTS}
    return Trainer(
        lesson,
        config,
        folder=config.run_folder,
        batches=functools.partial(
            batches_from, dataset=dataset, batch=config.batch, workers=config.workers
        ),
        recipe={**recipe, "data": taught.sha256},
        validate=functools.partial(psnr_on, clips=clips) if clips else None,
    )


def _provenance(
    config: DistillConfig, teacher: FoundNetwork | None, taught: ClipLibrary, command: str
) -> Provenance:
    recipe = {key: str(value) for key, value in to_json(config).items()}
    return Provenance(
        teacher=None if teacher is None else config.teacher,
        teacher_sha256=None if teacher is None else teacher.weights_sha256,
        objective=describe_objective(config.objective, config.objective_options),
        data=tuple(str(folder) for folder in config.data),
        data_sha256=taught.sha256,
        frames=taught.frames,
        steps=config.steps,
        seed=config.seed,
        recipe=recipe,
        command=command,
        versions=_versions(),
    )


def _versions() -> dict[str, str]:
    packages = ("torch", "accelerate", "numpy", "av")
    found = {name: importlib.metadata.version(name) for name in packages}
    return {"vsrc": __version__, "python": platform.python_version(), **found}


def _write(
    config: DistillConfig,
    student: FoundNetwork,
    network: nn.Module,
    provenance: Provenance,
    *,
    psnr: float | None,
) -> None:
    degradation: Degradation = "none" if config.degradation == "given" else config.degradation
    protocol = "8-bit Y of BT.601, border of scale pixels cut, mean over frames"
    measured = () if psnr is None else (Quality("held-out clips", "psnr", protocol, psnr),)
    with new_folder(config.output, overwrite=config.overwrite or config.resume) as folder:
        state = {key: tensor.cpu().contiguous() for key, tensor in network.state_dict().items()}
        save_file(state, folder / WEIGHTS_FILE)
        spec = ModelSpec(
            network=student.spec,
            weights=describe(folder, WEIGHTS_FILE),
            degradation=degradation,
            provenance=provenance,
            quality=measured,
        )
        write_spec(folder, spec)
