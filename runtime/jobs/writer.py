"""What takes the upscaled frames of a job: a video file, images, or a pipe."""

from __future__ import annotations

from typing import Protocol

from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.encode.kept_states import KeptStates
from vsrc.runtime.encode.segments import SegmentTotals


class Writer(Protocol):
    """Writer of upscaled frames.

    Attributes:
        summary: Format of the output, in a few words.
        notes: Lines to report to the user; complete after `finish`.
    """

    summary: str
    notes: list[str]

    @property
    def kept(self) -> SegmentTotals:
        """Return what would be kept if the run were stopped now, including earlier runs."""

    def is_kept(self, number: int, /) -> bool:
        """Whether this frame of the result exists from an earlier run."""

    def kept_states(self) -> KeptStates | None:
        """Return the store of states of a network that carries one; None without saved states."""

    def write(self, frame: ResultFrame, /) -> None:
        """Write the next frame."""

    def finish(self) -> None:
        """Complete the output and move it to its path."""

    def discard(self) -> None:
        """Remove unfinished output; after `finish` this does nothing."""
