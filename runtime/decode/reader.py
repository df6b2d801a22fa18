"""What reads the frames of a source: a video file, or images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import TYPE_CHECKING, Protocol

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.probe import VideoInfo

if TYPE_CHECKING:
    from av.container import InputContainer


class Reader(Protocol):
    """Reader of frames.

    Attributes:
        info: Properties of the source.
        container: Open file, whose other tracks the writer copies; None for image sequences.
        is_deep: Whether to return uint16 rather than uint8; must be set before the iteration.
    """

    info: VideoInfo
    container: InputContainer | None
    is_deep: bool

    @property
    def joints(self) -> Sequence[Fraction]:
        """Return when recordings ended or began so far, seconds; packets there may be cut off."""

    def __iter__(self) -> Iterator[SourceFrame]:
        """Yield the frames, once."""

    def seek(self, pts: int) -> None:
        """Make the iteration begin some frames before `pts`."""

    def notes(self) -> list[str]:
        """Return lines to report about the source, after the iteration."""

    def close(self) -> None:
        """Close the file."""
