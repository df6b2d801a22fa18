"""Checkpoints of a run: written atomically, read without running pickled code.

    run/checkpoints/step-00001000/
        student.safetensors   ema.safetensors
        beside.safetensors    what is trained besides the student: adapters, heads
        state.pt              optimiser and counters, read with weights_only
        hashes.json           SHA-256 of each of these files

The latest ones are kept, the others removed. Files are synced to disk before a checkpoint gets its
name, and compared with their hashes when it is read.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vsrc.runtime.errors import TrainingError, describe_error
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.pending_folder import open_pending_folder

logger = logging.getLogger(__name__)

PARTS = ("student", "ema", "beside")
_HASHES_FILE = "hashes.json"
_NAME = re.compile(r"step-\d+")


@dataclass(frozen=True)
class Checkpoint:
    """Everything needed to resume a run exactly.

    Attributes:
        step: Number of steps done.
        tensors: State dict of each part in `PARTS`.
        optimizer: The optimiser's state dict.
        counters: Other counters of the run.
        scaler: State of the loss scaler, in fp16.
        config: Configuration of the run, as text.
    """

    step: int
    tensors: Mapping[str, Mapping[str, Tensor]]
    optimizer: Mapping[str, Any]
    counters: Mapping[str, float]
    scaler: Mapping[str, Any]
    config: str


def save(folder: Path, checkpoint: Checkpoint, *, keep: int = 2) -> Path:
    """Write a checkpoint below `folder`, then remove all but the last `keep`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"step-{checkpoint.step:08d}"
    with open_pending_folder(target) as pending:
        for part in PARTS:
            tensors = {k: v.contiguous() for k, v in checkpoint.tensors[part].items()}
            save_file(tensors, pending / f"{part}.safetensors")
        state = {
            "step": checkpoint.step,
            "optimizer": checkpoint.optimizer,
            "counters": dict(checkpoint.counters),
            "scaler": dict(checkpoint.scaler),
            "config": checkpoint.config,
        }
        torch.save(state, pending / "state.pt")
        hashes = {file.name: file_sha256(file) for file in sorted(pending.iterdir())}
        (pending / _HASHES_FILE).write_text(json.dumps(hashes, indent=1) + "\n")
    # Later ones are damaged, and the run that is resumed will write them again.
    earlier = [path for path in find_checkpoints(folder) if step_of(path) <= checkpoint.step]
    for old in earlier[:-keep]:
        shutil.rmtree(old)
    return target


def find_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints below `folder`, oldest first, with damaged ones; other names are ignored."""
    found = (path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    return sorted((path for path in found if path.is_dir()), key=step_of)


def step_of(path: Path) -> int:
    """Number of steps that were done when a checkpoint was written."""
    return int(path.name.removeprefix("step-"))


def load_last(folder: Path) -> tuple[Path, Checkpoint] | None:
    """Read the last checkpoint below `folder` that is not damaged; None if there is none at all.

    Raises:
        TrainingError: All of them are damaged.
    """
    found = find_checkpoints(folder)
    for path in reversed(found):
        try:
            state = load(path)
        except TrainingError as error:
            logger.warning("%s; an earlier checkpoint is tried", error)
            continue
        if path != found[-1]:
            logger.warning("resuming from %s", path)
        return path, state
    if not found:
        return None
    raise TrainingError(
        f"all checkpoints in {folder} are damaged; copy them from a backup, or start over with "
        "--overwrite"
    )


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU.

    Raises:
        TrainingError: It is damaged.
    """
    try:
        _check_hashes(path)
        return _load(path)
    except Exception as error:  # torch and safetensors raise errors of many classes
        raise TrainingError(f"{path} is damaged ({describe_error(error)})") from error


def _check_hashes(path: Path) -> None:
    """Raise if a file is not as it was written; checkpoints of older versions have no hashes."""
    file = path / _HASHES_FILE
    if not file.exists():
        return
    hashes = json.loads(file.read_text())
    for name in (*(f"{part}.safetensors" for part in PARTS), "state.pt"):
        if file_sha256(path / name) != hashes[name]:
            raise ValueError(f"{name} differs from its hash")


def _load(path: Path) -> Checkpoint:
    state = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
    return Checkpoint(
        step=state["step"],
        tensors={part: load_file(path / f"{part}.safetensors") for part in PARTS},
        optimizer=state["optimizer"],
        counters=state["counters"],
        scaler=state["scaler"],
        config=state["config"],
    )
