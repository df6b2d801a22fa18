"""Endless stream of training batches of a process."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torch.utils.data import DataLoader, Dataset

from vsrc.compressor.data.dataset import ClipBatch, ClipItem, collate
from vsrc.runtime.errors import TrainingError
from vsrc.runtime.memory import oom_kills, oom_kills_since
from vsrc.runtime.stop_signal import ignore_stop_signals

_DEATH = re.compile(r"DataLoader worker \(pid.*")
"""Torch's message, raised anywhere in the main thread."""


def batches_from(
    start: int,
    *,
    dataset: Dataset[ClipItem],
    batch: int,
    process: int,
    processes: int,
    workers: int,
) -> Iterator[ClipBatch]:
    """Yield batches `start`, `start + 1`, ... of one process of several.

    Batch b of process p starts at item `(b * processes + p) * batch`, so together the
    processes see the same clips as one process with a larger batch.

    Args:
        start: Index of the first batch.
        dataset: Dataset whose item i depends on i alone.
        batch: Clips per batch.
        process: Index p of this process.
        processes: Number of processes.
        workers: Number of data loading processes; 0 loads in this process.
    """
    loader: DataLoader[ClipItem] = DataLoader(
        dataset,
        batch_sampler=_Indices(start, batch=batch, process=process, processes=processes),
        num_workers=workers,
        collate_fn=_as_they_are,
        worker_init_fn=_leave_signals_to_parent,
        multiprocessing_context="fork" if workers and sys.platform == "linux" else None,
    )
    # Workers are copies of this process (`fork`): those of another kind, which Python 3.14 makes by
    # default, are new interpreters, and these import from the working directory.
    # What was decoded with may hang in reference cycles, here or in the code of a user. A forked
    # worker that frees a decoder waits forever for its threads, which no fork takes along.
    gc.collect()
    for items in loader:
        yield collate(items)


@contextmanager
def explain_dead_workers() -> Iterator[None]:
    """Turn the death of a data loading process, raised anywhere in the block, into one line.

    Raises:
        TrainingError: Such a process died.
    """
    before = oom_kills()
    try:
        yield
    except RuntimeError as error:
        # The exception's cause, if any, names the signal.
        death = _DEATH.search(f"{error.__cause__}\n{error}")
        if death is None:
            raise
        memory = "; memory ran out" if oom_kills_since(before) else ""
        raise TrainingError(
            f"a data loading process died: {death[0].strip(' .')}{memory}. Continue from the "
            "last checkpoint with --resume, and fewer such processes: --set workers=0"
        ) from error


class _Indices:
    """Endless sequence of lists of item indices."""

    def __init__(self, start: int, *, batch: int, process: int, processes: int) -> None:
        self._start, self._batch = start, batch
        self._process, self._processes = process, processes

    def __iter__(self) -> Iterator[list[int]]:
        number = self._start
        while True:
            first = (number * self._processes + self._process) * self._batch
            yield list(range(first, first + self._batch))
            number += 1


def _leave_signals_to_parent(_worker: int) -> None:
    # Ctrl+C reaches the whole group of processes. The parent finishes its step and saves, for which
    # it may need one more batch; workers end when it closes them, or dies.
    ignore_stop_signals()


def _as_they_are(items: list[ClipItem]) -> list[ClipItem]:
    # Workers pass bytes; they become floats in the training process.
    return items
