"""Encoded parts of a video on disk, so that a job that was stopped goes on where it was.

    .film.mp4.vsrc-resume/
      job.txt          fingerprint of everything that the bytes depend on
      00000.segment    a line of JSON (hash, packets), then the bytes of the packets

A segment is written under another name, brought to the disk and renamed: it is there as a whole or
not at all, and its hash is checked before it is used. Each is encoded by an encoder of its own, so
it depends on nothing before it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

_JOB_FILE = "job.txt"


@dataclass(frozen=True)
class StoredPacket:
    """One encoded packet.

    Attributes:
        pts: In units of the encoder's time_base.
        dts: The same.
        duration: The same.
        is_key: A decoder can begin here.
        data: Its bytes.
    """

    pts: int
    dts: int
    duration: int
    is_key: bool
    data: bytes


class SegmentStore:
    """The finished segments of one job.

    Attributes:
        count: How many there are, from the first on without a gap.
    """

    def __init__(self, output: Path, fingerprint: str) -> None:
        self._folder = output.with_name(f".{output.name}.vsrc-resume")
        self._fingerprint = fingerprint
        self.count = 0
        if self._is_of_this_job():
            self.count = sum(1 for _ in self._whole_ones())
        elif self._folder.exists():
            self.remove()

    def save(self, packets: Sequence[StoredPacket]) -> None:
        """Keep the next segment."""
        if not self.count:
            self._folder.mkdir(exist_ok=True)
            _write_through(self._folder / _JOB_FILE, self._fingerprint.encode())
        _write_through(self._file(self.count), _to_bytes(packets))
        self.count += 1

    def load(self, index: int) -> list[StoredPacket]:
        """The packets of a segment that is there."""
        packets = _from_bytes(self._file(index).read_bytes())
        if packets is None:
            raise OSError(f"{self._file(index)} changed while it was in use")
        return packets

    def remove(self) -> None:
        """Forget everything."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self.count = 0

    def _is_of_this_job(self) -> bool:
        try:
            return (self._folder / _JOB_FILE).read_text() == self._fingerprint
        except (OSError, UnicodeDecodeError):
            return False

    def _whole_ones(self) -> Iterator[int]:
        index = 0
        while self._file(index).is_file():
            if _from_bytes(self._file(index).read_bytes()) is None:
                return
            yield index
            index += 1

    def _file(self, index: int) -> Path:
        return self._folder / f"{index:05d}.segment"


def fingerprint(parts: Sequence[object]) -> str:
    """A hash of everything that the bytes of a job depend on, each part by its `repr`."""
    return hashlib.sha256("\n".join(map(repr, parts)).encode()).hexdigest()


def _to_bytes(packets: Sequence[StoredPacket]) -> bytes:
    data = b"".join(packet.data for packet in packets)
    table = [[*astuple(packet)[:4], len(packet.data)] for packet in packets]
    head = {"sha256": _digest(table, data), "packets": table}
    return json.dumps(head).encode() + b"\n" + data


def _from_bytes(text: bytes) -> list[StoredPacket] | None:
    """The packets; None if a single bit is not as it was written."""
    line, _, data = text.partition(b"\n")
    try:
        head = json.loads(line)
        table = head["packets"]
        if head["sha256"] != _digest(table, data):
            return None
    except (ValueError, KeyError, TypeError):
        return None
    packets, place = [], 0
    for pts, dts, duration, is_key, size in table:
        packets.append(StoredPacket(pts, dts, duration, is_key, data[place : place + size]))
        place += size
    return packets


def _digest(table: object, data: bytes) -> str:
    return hashlib.sha256(json.dumps(table).encode() + data).hexdigest()


def _write_through(path: Path, data: bytes) -> None:
    """Write a file that is whole after a power cut, or not there."""
    temporary = path.with_suffix(".new")
    with temporary.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
