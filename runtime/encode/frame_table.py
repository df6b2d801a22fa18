"""What is known of each frame of a source once it was read to its end.

It lets several processes share one video: where the shots begin is decided once, with all that
lies before a frame in view, and whoever winds to the middle of the file can prove by hashes that
what is decoded there is what the whole run would have seen.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.encode.segment_encoder import ends_part
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pending_file import write_file


@dataclass(frozen=True)
class FrameTable:
    """One entry for each frame, in order; neighbours of an excerpt included.

    Attributes:
        pts: When it is shown.
        durations: How long; the same unit.
        shots: Whether it starts a shot.
        wanted: Whether it is restored.
        crcs: CRC-32 of its RGB samples.
    """

    pts: tuple[int, ...]
    durations: tuple[int, ...]
    shots: tuple[bool, ...]
    wanted: tuple[bool, ...]
    crcs: tuple[int, ...]

    @property
    def first_wanted(self) -> int:
        """Place of the first frame that is restored."""
        return self.wanted.index(True)

    def results(self, *, time_scale: int) -> int:
        """How many frames the result has."""
        return sum(self.wanted) if time_scale == 1 else 2 * sum(self.wanted) - 1

    def starts_shot(self, result: int, *, time_scale: int) -> bool:
        """Whether a frame of the result starts a shot."""
        row, rest = divmod(result, time_scale)
        return not rest and self.shots[self.first_wanted + row]

    def frames_of(
        self, frames: Iterable[SourceFrame], begin: int, stop: int
    ) -> Iterator[SourceFrame]:
        """The frames [begin, stop) as a run over the whole source sees them, other tracks left out.

        Args:
            frames: From some frame before `begin` on.
            begin: First of them, place in the table.
            stop: Behind the last one.

        Raises:
            MismatchError: They are not those that the table was made of.
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
    """Read a source to its end."""
    rows = [
        (frame.pts, frame.duration, frame.starts_shot, frame.wanted, crc(frame.rgb))
        for frame in frames
    ]
    return FrameTable(*zip(*rows, strict=True)) if rows else FrameTable((), (), (), (), ())


def crc(rgb: NDArray[Any]) -> int:
    """CRC-32 of the samples."""
    return zlib.crc32(np.ascontiguousarray(rgb).data)


def save_table(table: FrameTable, path: Path) -> None:
    """Write it as JSON, whole or not at all."""
    write_file(path, json.dumps(asdict(table)))


def load_table(path: Path) -> FrameTable | None:
    """The table in a file; None if there is none that can be used."""
    try:
        columns = json.loads(path.read_text())
        return FrameTable(*(tuple(columns[field.name]) for field in fields(FrameTable)))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def part_borders(table: FrameTable, *, time_scale: int, most: int) -> list[int]:
    """First frame of each part of the result, and the end of the last one."""
    borders, total = [0], table.results(time_scale=time_scale)
    for frame in range(1, total):
        starts = table.starts_shot(frame, time_scale=time_scale)
        if ends_part(frame - borders[-1], starts_shot=starts, most=most):
            borders.append(frame)
    return [*borders, total]
