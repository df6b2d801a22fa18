"""Sessions whose device works while the host goes on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Protocol, runtime_checkable

from vsrc.runtime.pixels import Pixels

PendingPixels = Callable[[], Pixels]
"""Waits for pictures that were begun, and gives them; asking again gives the same."""


@runtime_checkable
class StartedSession(Protocol):
    """A session that can be given the next windows before it has given the last ones.

    Attributes:
        ahead: Windows that are worth having under way beside the newest.
        at_once: How many of them are computed at the same time in the memory of the host; 0 on a
            device, which got all that it needs when it was opened.
    """

    ahead: int
    at_once: int

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to restore windows.

        Args:
            lr: As for the call of a `Session`; it stays as it is until the pictures are there.
            keys: As for a `KeyedSession`; None where nothing is known of the frames.
            place: Likewise.
        """
