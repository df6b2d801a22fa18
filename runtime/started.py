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
    """

    ahead: int

    def start(
        self, lr: Pixels, keys: Sequence[tuple[int, ...]] | None = None, *, place: Hashable = 0
    ) -> PendingPixels:
        """Begin to restore windows.

        Args:
            lr: As for the call of a `Session`; it may be overwritten once this returns.
            keys: As for a `KeyedSession`; None where nothing is known of the frames.
            place: Likewise.
        """
