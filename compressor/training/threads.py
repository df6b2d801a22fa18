"""Choose how many threads compute a step on the CPU, by timing the first steps.

    step      1  2  3  4 | 5  6  7  8 | 9 10 11 12 | 13 ...
    threads   4  4  4  4 | 3  3  3  3 | 2  2  2  2 | 3: the fastest, 2 was slower already

All threads of a step wait for the slowest, so with other work on the machine (the processes that
load the data, too) fewer threads than cores can be ten times as fast. That work comes and goes:
when steps take twice the time that they took, the choice is made again.
"""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.processes import local_process_count
from vsrc.runtime.machine import this_machine

_TIMED_STEPS = 3
"""Steps that are timed with each number of threads, after one that is not."""

_SLOWER = 1.2
"""Fewer threads are not tried once a step takes this much longer than the fastest."""

_WATCHED_STEPS = 20
"""Steps whose mean is compared with the mean of the first such steps."""


class ThreadTrial:
    """Number of threads of torch in this process, chosen from the time of steps.

    Args:
        candidates: Numbers of threads to try, largest first.
        chosen: Number to begin with, without a trial; None for a trial.
    """

    def __init__(self, candidates: tuple[int, ...], *, chosen: int | None = None) -> None:
        self._candidates = candidates
        self.chosen = chosen if chosen in candidates else None
        self._times: dict[int, float] = {}
        self._samples: list[float] = []
        self._usual: float | None = None
        self._recent: deque[float] = deque(maxlen=_WATCHED_STEPS)
        torch.set_num_threads(self.chosen or candidates[0])

    def note(self, seconds: float) -> str:
        """Note the computing time of a step; returns what was decided after it, or nothing.

        Args:
            seconds: Time of the step, without waiting for data, seconds.
        """
        return self._try(seconds) if self.chosen is None else self._watch(seconds)

    def _try(self, seconds: float) -> str:
        self._samples.append(seconds)
        if len(self._samples) <= _TIMED_STEPS:
            return ""
        current = self._candidates[len(self._times)]
        # The first step with another number of threads also starts them.
        self._times[current] = sum(self._samples[1:]) / _TIMED_STEPS
        self._samples.clear()
        fastest = min(self._times, key=self._times.__getitem__)
        is_slower = self._times[current] > _SLOWER * self._times[fastest]
        if is_slower or len(self._times) == len(self._candidates):
            self.chosen = fastest
            torch.set_num_threads(fastest)
            return self._result()
        torch.set_num_threads(self._candidates[len(self._times)])
        return ""

    def _watch(self, seconds: float) -> str:
        self._recent.append(seconds)
        if len(self._recent) < _WATCHED_STEPS:
            return ""
        mean = sum(self._recent) / _WATCHED_STEPS
        if self._usual is None:
            self._usual = mean
            self._recent.clear()
        elif mean > 2 * self._usual:
            return self._begin_again(mean)
        return ""

    def _begin_again(self, seconds: float) -> str:
        text = (
            f"a step takes {seconds:.3g} s, before {self._usual:.3g} s: trying other numbers of "
            "threads"
        )
        self.chosen = self._usual = None
        self._times.clear()
        self._recent.clear()
        torch.set_num_threads(self._candidates[0])
        return text

    def forget_pace(self) -> None:
        """Take the next steps as the usual ones: they compute something else than before."""
        self._usual = None
        self._recent.clear()

    def _result(self) -> str:
        listed = ", ".join(f"{count}: {seconds:.3g} s" for count, seconds in self._times.items())
        return f"using {self.chosen} of {self._candidates[0]} threads (step with {listed})"


def start_trial(
    config: TrainerConfig, device: torch.device, *, loaders: int, chosen: int | None = None
) -> tuple[ThreadTrial | None, str]:
    """Begin to choose the number of threads, unless it is given; and what to tell of it.

    It is given by `config.threads`, by the variable `OMP_NUM_THREADS` (which torchrun sets to 1
    where it starts several processes), or by the machine, with one core for each process.

    Args:
        config: Settings of the run.
        device: Device of the run; on a GPU nothing is chosen.
        loaders: Number of data loading processes.
        chosen: Number of threads that a resumed run had.
    """
    if device.type != "cpu":
        return None, ""
    if config.threads:
        torch.set_num_threads(config.threads)
        return None, f"{_count(config.threads)} (--set threads={config.threads})"
    if given := os.environ.get("OMP_NUM_THREADS"):
        return None, f"{_count(torch.get_num_threads())} (OMP_NUM_THREADS={given})"
    machine = this_machine()
    cores = min(machine.cores, math.ceil(machine.core_limit or machine.cores))
    candidates = candidate_threads(cores // local_process_count(), loaders=loaders)
    if len(candidates) == 1:
        torch.set_num_threads(1)
        return None, f"{_count(1)} (one core for each process)"
    trial = ThreadTrial(candidates, chosen=chosen)
    if trial.chosen is not None:
        return trial, f"{_count(trial.chosen)}, as before"
    return trial, f"trying 1 to {candidates[0]} threads in the first steps"


def candidate_threads(cores: int, *, loaders: int) -> tuple[int, ...]:
    """Numbers of threads worth a trial, largest first.

    All cores, those that the data loading processes leave, and halves down to one.

    Args:
        cores: Number of cores that this process may use.
        loaders: Number of its data loading processes.
    """
    cores = max(cores, 1)
    counts = {cores, max(cores - loaders, 1)}
    while cores > 1:
        cores //= 2
        counts.add(cores)
    return tuple(sorted(counts, reverse=True))


@contextmanager
def restore_threads() -> Iterator[None]:
    """Give torch its number of threads back after the block."""
    before = torch.get_num_threads()
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _count(threads: int) -> str:
    return f"using {threads} thread{'s'[: threads != 1]}"
