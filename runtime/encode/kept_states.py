"""Save the state of a network at the borders of segments, and find it again when a run is resumed.

Where computing (=) starts depends on the states that were saved before their segments were; m is
the first missing frame, s an earlier border:

    segments        | kept     | kept     | missing
    states          .          s          m
    with m          - - - - - - - - - - - ==========     from m on
    with s alone    - - - - - -=====================     from s on
    with neither    ================================     from the start of the run
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from vsrc.runtime.encode.segments import SegmentStore
from vsrc.runtime.encode.state_store import Maps, StateStore

_SAVED = 3
"""Number of states that one run leaves on disk: the encoder may be a segment or two behind."""


class StateHolder(Protocol):
    """The session whose state is saved."""

    def state(self) -> Maps | None:
        """Copy the state that the last frame has left; None if the next frame starts a shot."""

    def resume(self, arrays: Maps | None, /) -> None:
        """Continue with a state."""


class EndsSegment(Protocol):
    """The rule that ends a segment."""

    def __call__(self, length: int, /, *, starts_shot: bool) -> bool:
        """Whether a segment of `length` frames ends before the next frame."""


class SegmentCounter:
    """Counts the frames of a result, and tells which of them begin a segment.

    Args:
        ends: Rule that ends a segment.
    """

    def __init__(self, ends: EndsSegment) -> None:
        self._ends = ends
        self._length = 0

    def begins(self, number: int, *, starts_shot: bool) -> bool:
        """Count the next frame; returns whether a segment begins with it; the first is none."""
        del number
        is_border = self._length > 0 and self._ends(self._length, starts_shot=starts_shot)
        self._length = 1 if is_border else self._length + 1
        return is_border


class BorderSet:
    """The borders of a result whose segments are known; see `SegmentCounter`."""

    def __init__(self, borders: Collection[int]) -> None:
        self._borders = frozenset(borders)

    def begins(self, number: int, *, starts_shot: bool) -> bool:
        """Whether a segment begins with this frame."""
        del starts_shot
        return number in self._borders


class Borders(Protocol):
    """What tells which frames of a result begin a segment."""

    def begins(self, number: int, *, starts_shot: bool) -> bool:
        """Whether a segment begins with this frame; called for each frame in order."""


class KeptStates:
    """The states of one run; see the diagram above.

    Args:
        store: Store of the segments.
        borders: Which frames begin a segment.
        next_missing: Function from a frame to the first missing frame that is not before it; None
            if there is none.
        usable: Whether a stored state of this frame may be used.
    """

    def __init__(
        self,
        store: SegmentStore,
        borders: Borders,
        *,
        next_missing: Callable[[int], int | None],
        usable: Callable[[int], bool] = lambda _: True,
    ) -> None:
        self._states = StateStore(store)
        self._borders, self._next_missing = borders, next_missing
        self._stored = [number for number in self._states.numbers() if usable(number)]
        self._saved: list[int] = []
        self._is_current: bool | None = None  # whether the session has the state of the next frame

    def reach(
        self, number: int, session: StateHolder, *, starts_shot: bool, is_missing: bool
    ) -> bool:
        """Prepare the session for the next frame of the result.

        Args:
            number: Number of the frame.
            session: Session, which has upscaled the frames before if they had to be.
            starts_shot: Whether its state is zeros, which the session has then.
            is_missing: Whether the frame is upscaled.

        Returns:
            Whether it must be fed, missing or not, so that the state of a later one is known.
        """
        is_border = self._borders.begins(number, starts_shot=starts_shot)
        if self._is_current is None:  # zeros are right, or all that is known
            self._is_current = number not in self._stored
        self._is_current = self._is_current or starts_shot
        if is_missing:
            if not self._is_current:
                self._load(number, session)
            elif is_border:
                self._save(number, None if starts_shot else session.state())
            return True
        start = self._start_for(number)
        if start == number and not self._is_current:
            self._load(number, session)
        if start is None or start > number:
            self._is_current = False
        return self._is_current

    def _start_for(self, number: int) -> int | None:
        """Frame from which to compute up to the next missing one; None for no more."""
        stop = self._next_missing(number)
        if stop is None:
            return None
        known = [at for at in self._stored if number <= at <= stop]
        return max(known) if known else number

    def _load(self, number: int, session: StateHolder) -> None:
        session.resume(self._states.load(number))
        self._is_current = True

    def _save(self, number: int, maps: Maps | None) -> None:
        self._states.save(number, maps)
        self._saved.append(number)
        while len(self._saved) > _SAVED:
            self._states.remove(self._saved.pop(0))
