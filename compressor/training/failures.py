"""Say why a training step failed, and what to change, in one line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from vsrc.compressor.training.config import TrainerConfig
from vsrc.runtime.errors import TrainingError, VsrcError, describe_error
from vsrc.runtime.memory import oom_kills_since

_DEATH = re.compile(r"DataLoader worker \(pid.*")
"""Torch's message, raised anywhere in the main thread."""

_NO_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|bad_alloc", re.I
)
_PEER = re.compile(r"gloo|nccl|connection (closed|reset)|broken pipe", re.IGNORECASE)


@dataclass(frozen=True)
class FailurePlace:
    """Where a run was when it failed.

    Attributes:
        step: Number of the step, from 1.
        sources: Clips of the step; empty if they were not read yet.
        checkpoint: Last checkpoint; None if there is none yet.
        config: Settings of the run.
        process: Number of this process.
        processes: Number of processes of the run.
        oom_kills: Kills for lack of memory before the run, as `oom_kills` counts them.
    """

    step: int
    sources: Sequence[str]
    checkpoint: Path | None
    config: TrainerConfig
    process: int = 0
    processes: int = 1
    oom_kills: int | None = None


def training_error(error: Exception, place: FailurePlace) -> TrainingError:
    """Describe a failure: step, cause, clips, last good checkpoint, and what to change."""
    clips = f" on {', '.join(dict.fromkeys(place.sources))}" if place.sources else ""
    who = f", process {place.process} of {place.processes}" if place.processes > 1 else ""
    return TrainingError(
        f"step {place.step}{who}: {_cause(error, place)}{clips}; last good "
        f"checkpoint: {place.checkpoint or 'none yet'}; {_advice(error, place)}"
    )


def is_memory_error(error: BaseException) -> bool:
    """Whether the machine or a GPU ran out of memory."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and _NO_MEMORY.search(str(error)) is not None


def smaller_batch_advice(config: TrainerConfig) -> str:
    """What to type when memory runs out: the same clips per update in smaller batches."""
    if config.batch == 1:
        return "use smaller crops (--set patch=...) or shorter clips (--set clip_length=...)"
    half = next(n for n in range(config.batch // 2, 0, -1) if config.batch % n == 0)
    accumulate = config.accumulate * config.batch // half
    return (
        f"use smaller batches (--set batch={half} --set accumulate={accumulate} takes the same "
        "clips for each update)"
    )


def _cause(error: Exception, place: FailurePlace) -> str:
    if death := _death(error):
        memory = "; out of memory" if oom_kills_since(place.oom_kills) else ""
        return f"a data loading process died: {death}{memory}"
    if is_memory_error(error):
        return f"out of memory ({describe_error(error)})"
    if _is_peer_lost(error, place):
        return "the connection to another process of the run was lost: it ended"
    return str(error) if isinstance(error, VsrcError) else describe_error(error)


def _advice(error: Exception, place: FailurePlace) -> str:
    again = "--resume" if place.checkpoint else "start again"
    if _death(error):
        return f"continue with {again}, and fewer data loading processes: --set workers=0"
    if is_memory_error(error):
        return f"{smaller_batch_advice(place.config)}, and {again}"
    if _is_peer_lost(error, place):
        return f"see its own message, then continue with {again} on all processes"
    return f"`vsrc -v distill ...` shows where it happened; once it is fixed, {again}"


def _death(error: Exception) -> str:
    """Torch's words for a data loading process that died; empty for another error."""
    # The exception's cause, if any, names the signal.
    found = _DEATH.search(f"{error.__cause__}\n{error}")
    return found[0].strip(" .") if found and isinstance(error, RuntimeError) else ""


def _is_peer_lost(error: Exception, place: FailurePlace) -> bool:
    if place.processes == 1 or not isinstance(error, RuntimeError):
        return False
    return _PEER.search(str(error)) is not None
