"""Table of all frames of a source, made by reading it to its end.

With it several processes can share one video: shots are detected once, with all earlier frames in
view, and a process that seeks to the middle of the file can verify by checksums that it decodes the
same frames as a run over the whole source.
"""

from __future__ import annotations

import json
import stat
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.encode.segment_encoder import ends_segment
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pending_file import write_file


@dataclass(frozen=True)
class FrameTable:
    """One entry for each frame, in order; neighbours of an excerpt included.

    Attributes:
        pts: Presentation time stamp of each frame, units of the stream's time_base.
        durations: Display duration of each frame, units of the stream's time_base.
        shots: Whether each frame starts a shot.
        wanted: Whether each frame is upscaled.
        crcs: CRC-32 of the RGB samples of each frame.
    """

    pts: tuple[int, ...]
    durations: tuple[int, ...]
    shots: tuple[bool, ...]
    wanted: tuple[bool, ...]
    crcs: tuple[int, ...]

    @property
    def first_wanted(self) -> int:
        """Index of the first frame that is upscaled."""
        return self.wanted.index(True)

    def results(self, *, time_scale: int) -> int:
        """Number of frames of the result."""
        return sum(self.wanted) if time_scale == 1 else 2 * sum(self.wanted) - 1

    def starts_shot(self, result: int, *, time_scale: int) -> bool:
        """Whether a frame of the result starts a shot."""
        row, rest = divmod(result, time_scale)
        return not rest and self.shots[self.first_wanted + row]

    def frames_of(
        self, frames: Iterable[SourceFrame], begin: int, stop: int
    ) -> Iterator[SourceFrame]:
        """Yield frames [begin, stop) as in a run over the whole source, without other tracks.

        Args:
            frames: Decoded frames, from some frame before `begin` on.
            begin: Index of the first frame in the table.
            stop: Index after the last frame.

        Raises:
            MismatchError: The frames differ from those in the table.
        """
        place = begin
        for frame in frames:
            if place == stop:
                return
            if frame.pts < self.pts[begin]:
                continue
            if frame.pts != self.pts[place] or crc(frame.rgb) != self.crcs[place]:
                break
            yield replace(
                frame,
                duration=self.durations[place],
                packets=(),
                starts_shot=self.shots[place],
                wanted=self.wanted[place],
            )
            place += 1
        if place < stop:
            raise MismatchError(f"frame {place} is not what it was when the source was read first")


def read_table(frames: Iterable[SourceFrame]) -> FrameTable:
    """Read a source to its end and build its table."""
    rows = [
        (frame.pts, frame.duration, frame.starts_shot, frame.wanted, crc(frame.rgb))
        for frame in frames
    ]
    return FrameTable(*zip(*rows, strict=True)) if rows else FrameTable((), (), (), (), ())


def crc(rgb: NDArray[Any]) -> int:
    """Return the CRC-32 of the samples."""
    return zlib.crc32(np.ascontiguousarray(rgb).data)


def save_table(table: FrameTable, path: Path) -> None:
    """Write the table as JSON, atomically."""
    write_file(path, json.dumps(asdict(table)))


def load_table(path: Path) -> FrameTable | None:
    """Read a table; None if the file is missing or invalid."""
    try:
        if not stat.S_ISREG(path.lstat().st_mode):  # opening a pipe would wait for its writer
            return None
        columns = json.loads(path.read_text())
        return FrameTable(*(tuple(columns[field.name]) for field in fields(FrameTable)))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def segment_borders(table: FrameTable, *, time_scale: int, most: int) -> list[int]:
    """Return the first frame of each segment of the result, and the end of the last one."""
    borders, total = [0], table.results(time_scale=time_scale)
    for frame in range(1, total):
        starts = table.starts_shot(frame, time_scale=time_scale)
        if ends_segment(frame - borders[-1], starts_shot=starts, most=most):
            borders.append(frame)
    return [*borders, total]
