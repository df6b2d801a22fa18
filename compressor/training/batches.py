"""Endless stream of training batches of a process."""

from __future__ import annotations

import gc
import multiprocessing.util
import os
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.utils.data import DataLoader, Dataset

from vsrc.compressor.data.dataset import ClipBatch, ClipItem, collate
from vsrc.runtime.errors import DataError, VsrcError, describe_error
from vsrc.runtime.processes.parent_watch import end_with_parent
from vsrc.runtime.processes.stop_signal import ignore_stop_signals

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

_LONGEST_TEMPORARY = 70
"""Longest folder for the sockets through which workers send tensors, bytes: the name of a socket
adds 32, and systems allow 104 or 108. The error beyond that is raised in a thread of the worker,
which then sends nothing, forever."""


def batches_from(
    start: int,
    *,
    dataset: Dataset[ClipItem],
    batch: int,
    process: int,
    processes: int,
    workers: int,
) -> Generator[ClipBatch, None, None]:
    """Yield batches `start`, `start + 1`, ... of one process of several.

    Batch b of process p starts at item `(b * processes + p) * batch`, so together the
    processes see the same clips as one process with a larger batch.

    Args:
        start: Index of the first batch.
        dataset: Dataset whose item i depends on i alone.
        batch: Clips per batch.
        process: Index p of this process.
        processes: Number of processes.
        workers: Number of data loading processes; 0 loads in this process. They have ended when
            the generator is closed.

    Raises:
        DataError: A clip cannot be read.
    """
    loader: DataLoader[ClipItem | _Unread] = DataLoader(
        _Reporting(dataset),
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
    if workers:
        _choose_socket_folder()
    iterator = iter(loader)
    try:
        for items in iterator:
            yield collate(_read(items))
    finally:
        if workers:
            _end_workers(iterator)


def _choose_socket_folder() -> None:
    """Create the temporary folder of this process and its workers in /tmp if TMPDIR is too long."""
    is_long = len(os.fsencode(tempfile.gettempdir())) > _LONGEST_TEMPORARY
    if sys.platform == "win32" or not is_long:
        return
    chosen = tempfile.tempdir
    tempfile.tempdir = "/tmp"
    try:
        multiprocessing.util.get_temp_dir()  # creates it at the first call, and deletes it at exit
    finally:
        tempfile.tempdir = chosen


@dataclass(frozen=True)
class _Unread:
    """What a data loading process returns in place of a clip that it could not read.

    An exception would reach the training process as a traceback in words.
    """

    message: str
    traceback: str


class _Reporting(Dataset["ClipItem | _Unread"]):
    """A dataset whose errors are items."""

    def __init__(self, dataset: Dataset[ClipItem]) -> None:
        self._dataset = dataset

    def __getitem__(self, index: int) -> ClipItem | _Unread:
        try:
            return self._dataset[index]
        except Exception as error:
            message = str(error) if isinstance(error, VsrcError) else describe_error(error)
            return _Unread(message, traceback.format_exc())


def _read(items: Sequence[ClipItem | _Unread]) -> list[ClipItem]:
    for item in items:
        if isinstance(item, _Unread):
            raise DataError(item.message) from RuntimeError(item.traceback)
    return [item for item in items if isinstance(item, ClipItem)]


def _end_workers(iterator: object) -> None:
    """End the data loading processes of torch's iterator, and let it end without waiting."""
    _kill(getattr(iterator, "_workers", ()))
    # Torch sets this event as the iterator is freed. A process that was killed as it looked at the
    # old one holds its lock for ever.
    setattr(iterator, "_workers_done_event", multiprocessing.Event())  # noqa: B010  not declared


def _kill(workers: Sequence[BaseProcess]) -> None:
    """End the data loading processes, whatever they are doing.

    They ignore SIGTERM, with which torch and Python end them, and a traceback may keep torch's
    iterator alive until Python waits for them at its own end.
    """
    in_main = threading.current_thread() is threading.main_thread()
    # Torch's handler takes the end of a worker that it did not end itself for a crash.
    handler = signal.signal(signal.SIGCHLD, signal.SIG_DFL) if in_main else None
    try:
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.join()
    finally:
        if handler is not None:
            signal.signal(signal.SIGCHLD, handler)


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
    # it may need one more batch; workers end when it kills them, or dies.
    ignore_stop_signals()
    end_with_parent()


def _as_they_are(items: list[ClipItem | _Unread]) -> list[ClipItem | _Unread]:
    # Workers pass bytes; they become floats in the training process.
    return items
