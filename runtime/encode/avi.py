"""What AVI needs: frames on a constant grid of time.

AVI stores no time stamps. Frame n is shown at n / rate; an empty chunk repeats the frame before.

    source   0    33   67       133  167     ms
    chunk    0    1    2    -   4    5       at 30 frames a second

Where the first frame comes later than the audio, the header of the video says by how many chunks
(`dwStart`): an empty chunk cannot come first.

MXF has such a grid, too, but no empty chunks.
"""

from __future__ import annotations

from fractions import Fraction
from typing import IO

from vsrc.runtime.text.count_text import count_text

MUXER = "avi"

_HEADER_BYTES = 1 << 16
_START_PLACE = 28
"""Place of `dwStart` in a stream header (`strh`), behind its name and size, bytes."""

_VISIBLE = Fraction(1, 10)
"""Smallest difference to the source's times that is reported, frames."""


class FrameGrid:
    """Rounds time stamps to a constant frame rate; the first frame sets the phase.

    Args:
        rate: Frames per second of the result.
        time_base: Unit of the time stamps, seconds.
        first: Time stamp of the first frame of the result.
        has_gaps: Whether chunks may be empty; otherwise each frame follows the one before.
    """

    def __init__(
        self, rate: Fraction, time_base: Fraction, *, first: int, has_gaps: bool = True
    ) -> None:
        self._has_gaps = has_gaps
        self._rate = rate
        # Rounded down, so that a start by less than a frame does not become an empty chunk.
        self._phase = -(first * rate * time_base % 1)
        self._per_unit = rate * time_base
        self._start = max(0, round(first * self._per_unit + self._phase)) if has_gaps else 0
        self._last: int | None = None
        self._moved = 0
        self._furthest = Fraction(0)

    def place(self, pts: int) -> int:
        """Return the number of the frame's chunk, which is above that of the frame before."""
        exact = pts * self._per_unit + self._phase - self._start
        chunk = round(exact)
        if self._last is not None and not self._has_gaps:
            chunk = self._last + 1
        if self._last is not None and chunk <= self._last:
            chunk = self._last + 1
        self._last = chunk
        distance = abs(chunk - exact)
        self._moved += distance > _VISIBLE
        self._furthest = max(self._furthest, distance)
        return chunk

    def write_start(self, file: IO[bytes]) -> None:
        """Write to the header of a complete AVI when its video begins."""
        if not self._start:
            return
        file.seek(0)
        header = file.read(_HEADER_BYTES)
        place = header.find(b"strh")
        while place >= 0 and header[place + 8 : place + 12] != b"vids":
            place = header.find(b"strh", place + 1)
        if place >= 0:
            file.seek(place + 8 + _START_PLACE)
            file.write(self._start.to_bytes(4, "little"))

    def notes(self) -> list[str]:
        """Report frames whose times could not be kept."""
        if not self._moved:
            return []
        name = "AVI" if self._has_gaps else "MXF"
        moved = f"{count_text(self._moved, 'frame')} {'is' if self._moved == 1 else 'are'}"
        most_ms = float(self._furthest / self._rate * 1000)
        return [
            f"{name} has a constant frame rate, here {float(self._rate):.6g} fps: {moved} "
            f"shown up to {most_ms:.0f} ms earlier or later; .mkv and .mp4 keep "
            "their times"
        ]
