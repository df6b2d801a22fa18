"""Train a student on data, networks and an objective, and write its package."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch.utils.data import Dataset

from vsrc.compressor.build import Built, build
from vsrc.compressor.data import (
    ClipDataset,
    ClipLibrary,
    open_library,
    split_holdout,
    validation_clips,
)
from vsrc.compressor.data.crop_shards import CropDataset, check_shard_files
from vsrc.compressor.data.dataset import ClipBatch, ClipItem
from vsrc.compressor.data.library import IngestProgress
from vsrc.compressor.data.real import check_codecs
from vsrc.compressor.latency_target import resolve_target
from vsrc.compressor.patch_size import round_patch
from vsrc.compressor.results import (
    TrainedOn,
    trained_on_clips,
    trained_on_shards,
    write_results,
)
from vsrc.compressor.run_header import RunHeader, run_header
from vsrc.compressor.run_outputs import prepare_outputs
from vsrc.compressor.teacher_cache import open_shards_for
from vsrc.compressor.training.batches import batches_from
from vsrc.compressor.training.checkpoint import find_checkpoints as checkpoints_in
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.contract import check_contract
from vsrc.compressor.training.processes import device_of
from vsrc.compressor.training.progress import TrainProgress
from vsrc.compressor.training.trainer import Trainer, stopped_message
from vsrc.compressor.training.validation import bicubic_psnr_on, psnr_on, side_by_side
from vsrc.runtime.errors import StoppedError, TrainingError, VsrcError, describe_error
from vsrc.runtime.schema import to_json

logger = logging.getLogger(__name__)

DistillCallback = Callable[[IngestProgress | TrainProgress], None]
HeaderCallback = Callable[[RunHeader], None]

MAY_CHANGE = frozenset(
    {
        *("output", "run_dir", "cache", "resume", "overwrite", "allow_code", "workers", "device"),
        "threads",
        *("checkpoint_every", "log_every", "validate_every", "holdout_clips"),
        "teacher_cache",
        *("steps", "learning_rate", "clip_norm"),
    }
)
"""Fields that a resumed run may change. The last three change the weights too: they extend a
finished run, or rescue one that diverged. A teacher cache may move, if it holds the same."""


def distill(
    config: DistillConfig,
    *,
    report: DistillCallback | None = None,
    announce: HeaderCallback | None = None,
    command: str = "",
) -> Path:
    """Train a student and write its package.

    Args:
        config: Student, data, objective and training settings.
        report: Called after each source that is opened and after each step.
        announce: Called once, before data is read.
        command: Command line, for the record.

    Returns:
        Path of the package.

    Raises:
        VsrcError: See `vsrc.runtime.errors`; an interrupted run leaves a checkpoint.
        ValueError: Unknown name, or an invalid setting.
    """
    config, choice = resolve_target(round_patch(config))
    if choice is not None:
        logger.info("%s", choice.text())
    own_group = not torch.distributed.is_initialized()
    try:
        _distill(config, report, announce, command)
    except KeyboardInterrupt:  # before or after the training steps, which handle it themselves
        if not (kept := checkpoints_in(config.run_folder / "checkpoints")):
            raise
        raise StoppedError(stopped_message("stopped", kept[-1])) from None
    except StoppedError:
        raise
    except Exception as error:
        logger.info("the run failed", exc_info=True)
        if isinstance(error, (VsrcError, ValueError, OSError, ImportError)):
            raise
        raise TrainingError(
            f"{describe_error(error)}; `vsrc -v distill ...` shows where it happened"
        ) from error
    if own_group and torch.distributed.is_initialized():
        # Only now, when the trainer is gone: were its gradient reducer the last to hold the group,
        # its destructor could wait for a thread of gloo that waits for Python (torch 2.13).
        torch.distributed.destroy_process_group()
    return config.output


def _distill(
    config: DistillConfig,
    report: DistillCallback | None,
    announce: HeaderCallback | None,
    command: str,
) -> None:
    prepare_outputs(config)
    if config.degradation == "real":
        check_codecs()
    built = build(config)
    if announce is not None:
        announce(run_header(config, built))
    if config.teacher_cache is not None:
        _distill_from_shards(config, config.teacher_cache, built, report, command)
        return
    check_contract(built.distillation, config, device_of(config))
    library = open_library(
        config.data,
        scale=config.scale,
        degradation=config.degradation,
        cache=config.cache,
        max_height=config.max_height,
        progress=report,
    )
    for clip in library.skipped:
        logger.warning("%s is skipped: %s", clip.name, clip.reason)
    training_clips, held = (
        split_holdout(library, fraction=config.holdout) if config.holdout else (library, None)
    )
    trainer = _trainer(config, built, training_clips, held)
    _run(config, built, trainer, trained_on_clips(config, built, training_clips), report, command)


def _distill_from_shards(
    config: DistillConfig, folder: Path, built: Built, report: DistillCallback | None, command: str
) -> None:
    shards = open_shards_for(config, folder, built)
    check_contract(built.distillation, config, device_of(config))
    teacher = built.distillation.objective.needs_teacher
    check_shard_files(shards, with_teacher=teacher, report=report)
    trainer = _make_trainer(
        config,
        built,
        dataset=CropDataset(shards, seed=config.seed, with_teacher=teacher, stills=config.stills),
        clips=shards.held_out()[: config.holdout_clips],
        recipe={"shards": {k: v for k, v in to_json(shards.manifest).items() if k != "data"}},
    )
    data = trained_on_shards(built, shards.manifest)
    _run(config, built, trainer, data, report, command)


def _run(
    config: DistillConfig,
    built: Built,
    trainer: Trainer,
    data: TrainedOn,
    report: DistillCallback | None,
    command: str,
) -> None:
    if config.resume:
        trainer.resume()
    network = trainer.run(report)
    if trainer.accelerator.is_main_process:
        write_results(config, built, network, data=data, command=command, psnr=trainer.psnr)
    trainer.accelerator.wait_for_everyone()


def _trainer(
    config: DistillConfig, built: Built, training_clips: ClipLibrary, held: ClipLibrary | None
) -> Trainer:
    dataset = ClipDataset(
        training_clips,
        clip_length=config.clip_length,
        patch=config.patch,
        seed=config.seed,
        candidates=config.candidates,
        stills=config.stills,
    )
    clips = []
    if held is not None:
        clips = validation_clips(
            held, clip_length=config.clip_length, count=config.holdout_clips, crop=2 * config.patch
        )
    teacher_sha256 = None if built.teacher is None else built.teacher.weights_sha256
    return _make_trainer(
        config,
        built,
        dataset=dataset,
        clips=clips,
        recipe={"data": training_clips.sha256, "teacher weights": teacher_sha256},
    )


def _make_trainer(
    config: DistillConfig,
    built: Built,
    *,
    dataset: Dataset[ClipItem],
    clips: list[ClipBatch],
    recipe: dict[str, object],
) -> Trainer:
    settings = {k: v for k, v in to_json(config).items() if k not in MAY_CHANGE}
    return Trainer(
        built.distillation,
        config,
        folder=config.run_folder,
        batches=functools.partial(
            batches_from, dataset=dataset, batch=config.batch, workers=config.workers
        ),
        recipe={**settings, **recipe},
        validate=functools.partial(psnr_on, clips=clips) if clips else None,
        bicubic_psnr=bicubic_psnr_on(clips) if clips else None,
        sample=functools.partial(side_by_side, clip=clips[0]) if clips else None,
        loaders=config.workers,
    )
