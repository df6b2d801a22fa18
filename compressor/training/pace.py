"""How fast a loop goes, and what it waits for."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """Time of a step, and how much of it was waiting for data, over the last steps.

    Args:
        window: Steps that are averaged.
    """

    def __init__(self, window: int = 50) -> None:
        self._steps: deque[tuple[float, float, int]] = deque(maxlen=window)
        self._waited = 0.0
        self.start()

    def start(self) -> None:
        """A step begins now."""
        self._start, self._waited = time.perf_counter(), 0.0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block as waiting."""
        start = time.perf_counter()
        yield
        self._waited += time.perf_counter() - start

    def end(self, images: int) -> None:
        """The step ends now, after `images` were restored."""
        self._steps.append((time.perf_counter() - self._start, self._waited, images))

    @property
    def step_seconds(self) -> float:
        """Time of a step."""
        return self._total(0) / len(self._steps)

    @property
    def wait_share(self) -> float:
        """Share of the time that was waiting, in [0, 1]."""
        return self._total(1) / self._total(0)

    @property
    def images_per_second(self) -> float:
        """Images restored in a second."""
        return self._total(2) / self._total(0)

    def _total(self, column: int) -> float:
        return sum(step[column] for step in self._steps)
