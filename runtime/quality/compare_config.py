"""Options of `vsrc compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CompareConfig:
    """What is laid on each other, and where the page goes.

    Attributes:
        left: A picture or video; seen on the left at the start.
        right: The same frames, made in another way; may differ in size.
        reference: The true HR frames; those of left and right that have its size are scored.
        output: The page, one HTML file.
        start: Where in videos to begin, seconds from the first frame.
        frames: Most frames of a video to compare; the page grows with them.
        border: Pixels left out at each edge when scoring (papers leave out `scale`).
        overwrite: Replace a page that exists.
    """

    left: Path
    right: Path
    reference: Path | None = None
    output: Path = Path("compare.html")
    start: float = 0.0
    frames: int = 60
    border: int = 0
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.start < float("inf"):
            raise ValueError(f"start={self.start} must be a number of seconds, 0 or more")
        if self.frames < 1:
            raise ValueError(f"frames={self.frames} must be at least 1")
        if self.border < 0:
            raise ValueError(f"border={self.border} must not be negative")

    @property
    def sources(self) -> tuple[Path, ...]:
        """The files, in the order in which they appear on the page."""
        return tuple(path for path in (self.left, self.right, self.reference) if path is not None)


@dataclass(frozen=True)
class CompareProgress:
    """Frames compared so far, and how many there will be at most."""

    frames: int
    most: int
