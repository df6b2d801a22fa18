"""What a trainer takes its clips from."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Protocol

from torch import Tensor


class Batch(Protocol):
    """Clips of one forward pass, float32 RGB in [0, 1]."""

    @property
    def lr(self) -> Tensor:
        """LR clips, `(N, L, 3, h, w)`."""

    @property
    def hr(self) -> Tensor:
        """HR clips, `(N, L, 3, sh, sw)`."""

    @property
    def sources(self) -> Sequence[str]:
        """Origin of each clip, for messages."""


class Batches(Protocol):
    """Source of the clips of a run."""

    def __call__(
        self, start: int, /, *, process: int, processes: int
    ) -> Generator[Batch, None, None]:
        """Yield the batches of one process of several, endlessly from index `start` on.

        The generator is closed at the end of the run, and when a step fails.
        """
