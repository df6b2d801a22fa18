"""States of a network on disk, beside the segments of an unfinished result.

    .out.mp4.vsrc-resume/00000000-00000120.segment
                         00000120.state              state that frame 120 is upscaled with

A file is a line of JSON (job, hash, and name, type and shape of each map) and the values, each map
after the other. Without maps it means that a shot starts there, or that nothing follows.
"""

from __future__ import annotations

import hashlib
import json
import re
import stat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.encode.segments import SegmentStore
from vsrc.runtime.pending_file import open_pending_file

_NAME = re.compile(r"(\d{8})\.state")
_TYPES = ("float16", "float32")
_HEAD_BYTES = 1 << 20
"""Longest first line that is read."""

Maps = dict[str, NDArray[Any]]


class StateStore:
    """The states of one job.

    Args:
        store: Store of its segments.
    """

    def __init__(self, store: SegmentStore) -> None:
        self._store = store

    def numbers(self) -> list[int]:
        """List the frames whose state is stored and undamaged, in order."""
        found = (_NAME.fullmatch(file.name) for file in self._store.folder.glob("*.state"))
        numbers = sorted(int(match[1]) for match in found if match)
        return [number for number in numbers if self._read(number) is not None]

    def save(self, number: int, maps: Maps | None) -> None:
        """Save the state that a frame of the result is upscaled with; None for zeros."""
        self._store.claim()
        values = [(name, np.ascontiguousarray(map_)) for name, map_ in (maps or {}).items()]
        table = [[name, str(map_.dtype), list(map_.shape)] for name, map_ in values]
        data = b"".join(map_.tobytes() for _, map_ in values)
        with open_pending_file(self._file(number)) as file:
            job = self._store.job
            head = {"job": job, "sha256": _digest(job, table, data), "maps": table}
            file.write(json.dumps(head).encode() + b"\n")
            file.write(data)

    def load(self, number: int) -> Maps | None:
        """Return the state of a frame; None for zeros.

        Raises:
            OSError: The file is missing or damaged.
        """
        maps = self._read(number)
        if maps is None:
            raise OSError(f"{self._file(number)} changed while it was in use")
        return maps or None

    def remove(self, number: int) -> None:
        """Remove the state of a frame, if it is there."""
        self._file(number).unlink(missing_ok=True)

    def _file(self, number: int) -> Path:
        return self._store.folder / f"{number:08d}.state"

    def _read(self, number: int) -> Maps | None:
        return _read(self._file(number), self._store.job)


def _read(file: Path, job: str) -> Maps | None:
    """Read the maps of a file; None if it is damaged, or of another job."""
    maps: Maps = {}
    try:
        if not stat.S_ISREG(file.lstat().st_mode):  # opening a pipe would wait for its writer
            return None
        with file.open("rb") as stream:
            head = json.loads(stream.readline(_HEAD_BYTES))
            data = stream.read()
        if head["job"] != job or head["sha256"] != _digest(job, head["maps"], data):
            return None
        start = 0
        for name, kind, shape in head["maps"]:
            if kind not in _TYPES:
                return None
            count = int(np.prod(shape))
            maps[str(name)] = np.frombuffer(data, kind, count, start).reshape(shape).copy()
            start += maps[str(name)].nbytes
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return maps


def _digest(job: str, table: object, data: bytes) -> str:
    return hashlib.sha256(json.dumps([job, table]).encode() + data).hexdigest()
