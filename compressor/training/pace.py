"""Speed of the training loop, and the time spent waiting for data."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """Moving average of the time per step, and the fraction spent waiting for data.

    Args:
        window: Number of steps to average.
    """

    def __init__(self, window: int = 50) -> None:
        self._steps: deque[tuple[float, float, int]] = deque(maxlen=window)
        self._waited = 0.0
        self.start()

    def start(self) -> None:
        """Mark the start of a step."""
        self._start, self._waited = time.perf_counter(), 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def end(self, images: int) -> None:
        """Mark the end of a step, after `images` were upscaled."""
        self._steps.append((time.perf_counter() - self._start, self._waited, images))

    @property
    def compute_seconds(self) -> float:
        """Time of the last step without waiting, seconds."""
        total, waited, _ = self._steps[-1]
        return total - waited

    @property
    def step_seconds(self) -> float:
        """Time per step, seconds."""
        return self._total(0) / len(self._steps)

    @property
    def wait_share(self) -> float:
        """Fraction of the time spent waiting, in [0, 1]."""
        return self._total(1) / self._total(0)

    @property
    def images_per_second(self) -> float:
        """Images upscaled per second."""
        return self._total(2) / self._total(0)

    def _total(self, column: int) -> float:
        return sum(step[column] for step in self._steps)
