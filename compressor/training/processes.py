"""Several processes of one run, as torchrun, accelerate and mpirun start them.

    rank 0   ... step ── all-reduce ─ (waits) ............ ends
    rank 1   ... step ── error: claims the failure, says why, ends

The others of a process that failed wait for it inside a collective operation, where no Python runs.
So each watches, in a thread, whether the failure was claimed, and ends its process then. Only the
process that claimed it prints a message.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from vsrc.compressor.training.config import TrainerConfig
from vsrc.runtime.errors import StoppedError, TrainingError, describe_error

if TYPE_CHECKING:
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

_COUNTS = ("WORLD_SIZE", "OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "MV2_COMM_WORLD_SIZE")
_RANKS = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "MV2_COMM_WORLD_RANK")
_LOCAL_COUNTS = ("LOCAL_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_SIZE", "MV2_COMM_WORLD_LOCAL_SIZE")
_LOCAL_RANKS = ("LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_LOCAL_RANK")
"""Variables of torchrun, Open MPI, Intel MPI and MVAPICH2, as accelerate reads them."""

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 2.0
"""Time that a process has to end by itself once another one failed, before it is ended."""

_OWN_GRACE_SECONDS = 4.0
"""The same for the one that failed, which prints why."""


def process_count() -> int:
    """Number of processes that the launcher started for this run."""
    return _first_number(_COUNTS, 1)


def process_rank() -> int:
    """Number of this process, from 0."""
    return _first_number(_RANKS, 0)


def local_process_count() -> int:
    """Number of processes of this run on this machine."""
    return _first_number(_LOCAL_COUNTS, process_count())


def device_of(config: TrainerConfig) -> torch.device:
    """Device that this process trains on.

    Raises:
        ValueError: More processes on this machine than GPUs.
    """
    if config.device == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    count, gpus = local_process_count(), torch.cuda.device_count()
    if count > gpus:
        raise ValueError(
            f"{count} processes were started on a machine with {gpus} GPU{'s'[: gpus != 1]}; "
            f"start {gpus} (torchrun --nproc-per-node {gpus}), or train on the CPU with --set "
            "device=cpu"
        )
    return torch.device("cuda", _first_number(_LOCAL_RANKS, 0))


def open_accelerator(config: TrainerConfig) -> Accelerator:
    """Join the group of processes that train together.

    Raises:
        TrainingError: It has another number of processes than were started.
    """
    # accelerate keeps the precision of the first run in a process; this run may need another.
    AcceleratorState._reset_state()
    precision = "no" if config.precision == "fp32" else config.precision
    try:
        accelerator = Accelerator(mixed_precision=precision, cpu=_uses_cpu(config))
    except ValueError as error:  # the address of the first process is not set
        raise TrainingError(f"{_alone(1)} ({describe_error(error)})") from error
    if accelerator.num_processes != process_count():
        raise TrainingError(_alone(accelerator.num_processes))
    return accelerator


def _alone(size: int) -> str:
    return (
        f"{process_count()} processes were started, but the group that trains together has {size}: "
        "each would train a student of its own. Start them with torchrun --nproc-per-node N "
        "--no-python vsrc distill ..., or unset WORLD_SIZE to train in one process"
    )


@contextmanager
def end_together() -> Iterator[None]:
    """Let a failure in the block end all processes of the run, with the message of the first.

    Nothing happens where the run has one process. Otherwise this process may end while the block
    runs, with status 1, and it ends some seconds after an exception left the block, even if a
    destructor waits for another process. So this is for a command, not for a library.

    Raises:
        SystemExit: In place of an exception whose message another process prints.
    """
    if process_count() == 1:
        yield
        return
    notice = _FailureNotice()
    done = threading.Event()
    threading.Thread(target=_watch, args=(notice, done), daemon=True).start()
    try:
        yield
    except (StoppedError, KeyboardInterrupt):
        if process_rank() > 0:  # all of them stop at the same step
            raise SystemExit(130) from None
        raise
    except Exception:
        _end_soon()
        if not notice.claim():
            raise SystemExit(1) from None
        raise
    finally:
        done.set()


class _FailureNotice:
    """A note of the first process that failed, in the store by which the processes found another.

    The store belongs to the launcher (torchrun, accelerate), or to the process of rank 0, where it
    exists once the group of processes does.
    """

    def __init__(self) -> None:
        # A launcher that starts the processes again keeps the store.
        self._key = f"vsrc/failed/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
        self._store: TCPStore | None = None
        self._lock = threading.Lock()

    def claim(self) -> bool:
        """Note that this process failed; returns whether it is the first, or cannot be known."""
        with self._lock:
            try:
                store = self._connected()
                return store is None or store.add(self._key, 1) == 1
            except (RuntimeError, OSError):
                return True  # the process that kept the store is gone

    def is_claimed(self) -> bool:
        """Whether a process failed, or the one that keeps the store is gone."""
        with self._lock:
            try:
                store = self._connected()
                return store is not None and store.check([self._key])
            except (RuntimeError, OSError):
                return self._store is not None

    def _connected(self) -> TCPStore | None:
        has_launcher = os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        if self._store is None and (has_launcher or torch.distributed.is_initialized()):
            address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
            if address and port:
                self._store = torch.distributed.TCPStore(  # type: ignore[attr-defined]
                    address,
                    int(port),
                    is_master=False,
                    wait_for_workers=False,
                    timeout=timedelta(seconds=_GRACE_SECONDS),
                )
        return self._store


def _watch(notice: _FailureNotice, done: threading.Event) -> None:
    while not done.wait(_POLL_SECONDS):
        if notice.is_claimed():
            if not done.wait(_GRACE_SECONDS):
                os._exit(1)
            return


def _end_soon() -> None:
    """End this process in some seconds, whatever Python or a destructor waits for then."""
    # This timer needs no Python, as a thread would.
    silent = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  open until the end
    faulthandler.dump_traceback_later(_OWN_GRACE_SECONDS, exit=True, file=silent)


def _uses_cpu(config: TrainerConfig) -> bool:
    """Whether several processes train on CPUs: wanted, or there is no GPU."""
    return config.device == "cpu" or (process_count() > 1 and not torch.cuda.is_available())


def _first_number(names: tuple[str, ...], otherwise: int) -> int:
    for name in names:
        if (text := os.environ.get(name, "")).isdecimal():
            return int(text)
    return otherwise
