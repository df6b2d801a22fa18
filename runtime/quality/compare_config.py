"""Options of `vsrc compare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class CompareConfig:
    """What to compare, and where to write the page.

    Attributes:
        left: Image or video shown on the left.
        right: Image or video of the same frames from another source; may differ in size.
        reference: True HR frames; left and right are scored if they have the same size.
        output: Path of the page, one HTML file.
        start: Start time in videos, seconds from the first frame.
        frames: Largest number of frames of a video to compare; the page grows with it.
        border: Width cropped from each edge before scoring, pixels (papers crop `scale`).
        overwrite: Whether an existing page is replaced.
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
        """Files in the order in which they appear on the page."""
        return tuple(path for path in (self.left, self.right, self.reference) if path is not None)


@dataclass(frozen=True)
class CompareProgress:
    """Number of frames compared so far, and the largest possible number."""

    frames: int
    most: int
