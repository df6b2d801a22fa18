"""Checkpoints of a run: written atomically, read without running pickled code.

    run/checkpoints/step-00001000/
        student.safetensors   ema.safetensors
        beside.safetensors    what is trained besides the student: adapters, heads
        state.pt              optimiser and counters, read with weights_only

The latest ones are kept, the others removed.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from vsrc.runtime.pending_file import open_pending_folder

PARTS = ("student", "ema", "beside")


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
    for old in find_checkpoints(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def find_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints below `folder`, oldest first."""
    return sorted(path for path in folder.glob("step-*") if (path / "state.pt").is_file())


def load(path: Path) -> Checkpoint:
    """Read a checkpoint onto the CPU."""
    state = torch.load(path / "state.pt", map_location="cpu", weights_only=True)
    return Checkpoint(
        step=state["step"],
        tensors={part: load_file(path / f"{part}.safetensors") for part in PARTS},
        optimizer=state["optimizer"],
        counters=state["counters"],
        scaler=state["scaler"],
        config=state["config"],
    )
