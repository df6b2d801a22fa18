"""Store encoded segments of a video on disk, so that a job that was stopped can be resumed.

    .film.mp4.vsrc-resume/
      job.txt                      fingerprint of everything that the bytes depend on
      sources.json                 size, time and hashes of the source, to compare it again
      00000000-00000120.segment    frames [0, 120): a line of JSON (job, hash, packets), the packets

A segment is written under a temporary name, synced to disk and renamed, so it appears atomically,
and its job and hash are checked before it is used. Each has its own encoder, so it is independent
of the others, and any process with access to the folder may add the next one. A process that works
on the result holds the lock of `.film.mp4.vsrc-lock`, shards a shared one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import stat
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

from vsrc.runtime.errors import MediaError
from vsrc.runtime.file_lock import hold_lock_file
from vsrc.runtime.hidden_name import hidden_name
from vsrc.runtime.pending_file import failures_named, open_pending_file

_JOB_FILE = "job.txt"
SOURCES_FILE = "sources.json"
_HEAD_BYTES = 64 << 20
"""Longest first line of a segment that is read."""
_NAME = re.compile(r"(\d{8})-(\d{8})\.segment")


@dataclass(frozen=True)
class StoredPacket:
    """One encoded packet.

    Attributes:
        pts: Presentation time stamp, units of the encoder's time_base.
        dts: Decoding time stamp, units of the encoder's time_base.
        duration: Display duration, units of the encoder's time_base.
        is_key: Whether it is a key frame.
        data: Encoded bytes.
    """

    pts: int
    dts: int
    duration: int
    is_key: bool
    data: bytes


@dataclass(frozen=True)
class Segment:
    """A finished segment.

    Attributes:
        first: Index of its first frame in the result.
        stop: Index after its last frame.
        sha256: Hash of its packets and their time stamps, hex.
        size_bytes: Size of its file, bytes.
        recomputed_frames: Number of frames corrupted by reduced precision and recomputed in fp32.
        corrupted_frames: Number of frames corrupted by reduced precision and not recomputed.
    """

    first: int
    stop: int
    sha256: str
    size_bytes: int
    recomputed_frames: int = 0
    corrupted_frames: int = 0


@dataclass(frozen=True)
class SegmentTotals:
    """Totals of all finished segments of a result.

    Attributes:
        frames: Number of finished frames.
        recomputed_frames: Number of frames that were recomputed in fp32.
        corrupted_frames: Number of frames that are corrupted.
    """

    frames: int = 0
    recomputed_frames: int = 0
    corrupted_frames: int = 0


class SegmentStore:
    """The finished segments of one job, in a folder beside its output.

    Args:
        output: Path of the result.
        fingerprint: Hash of everything that the bytes of the result depend on, or a function that
            computes it when it is needed first: hashing a long source takes time.
        shared: Whether other processes work on the job, too. Segments of another job are then an
            error; otherwise they are removed.
        sources: Function that returns the content of `sources.json`.

    Raises:
        MediaError: The folder holds a shared job with another fingerprint, or is a link.
    """

    def __init__(
        self,
        output: Path,
        fingerprint: str | Callable[[], str],
        *,
        shared: bool = False,
        sources: Callable[[], str] | None = None,
    ) -> None:
        self.folder = resume_folder(output)
        self._fingerprint = fingerprint
        self._sources = sources
        self._found: dict[int, Segment] = {}
        self._firsts: list[int] = []
        if self.folder.is_symlink() or (self.folder.exists() and not self.folder.is_dir()):
            raise MediaError(
                f"{self.folder} is a link or a file, but vsrc keeps what an interrupted run has "
                "finished in a folder of this name; remove it"
            )
        if self._is_of_this_job():
            self.look()
        elif shared and any(self.folder.glob("*.segment")):
            raise MediaError(
                f"{self.folder} holds segments of another job: other options, another package, "
                "another version of vsrc or a source that changed; remove it, or write elsewhere"
            )
        elif self.folder.exists():
            self.remove()

    @property
    def kept(self) -> SegmentTotals:
        """Return the totals of all segments."""
        segments = self._found.values()
        return SegmentTotals(
            sum(segment.stop - segment.first for segment in segments),
            sum(segment.recomputed_frames for segment in segments),
            sum(segment.corrupted_frames for segment in segments),
        )

    @property
    def firsts(self) -> list[int]:
        """Return the first frame of each segment, in order."""
        return self._firsts.copy()

    def look(self) -> None:
        """Find segments that other processes have added; damaged ones are skipped."""
        for first, stop in segment_spans(self.folder):
            known = self._found.get(first)
            if (known is None or known.stop != stop) and (
                segment := _segment(self._file(first, stop), first, stop, self.job)
            ):
                self._found[first] = segment
        self._firsts = sorted(self._found)

    def at(self, first: int) -> Segment | None:
        """Return the segment that begins with this frame, or None."""
        return self._found.get(first)

    def covers(self, frame: int) -> bool:
        """Whether a segment contains this frame."""
        place = bisect_right(self._firsts, frame) - 1
        return place >= 0 and frame < self._found[self._firsts[place]].stop

    def next_missing(self, frame: int) -> int:
        """Return the first frame that no segment contains, from this one on."""
        while self.covers(frame):
            frame = self._found[self._firsts[bisect_right(self._firsts, frame) - 1]].stop
        return frame

    def claim(self) -> None:
        """Create the folder with the fingerprint of the job."""
        if (self.folder / _JOB_FILE).exists():
            return
        self.folder.mkdir(exist_ok=True)
        if self._sources is not None:
            with open_pending_file(self.folder / SOURCES_FILE) as file:
                file.write(self._sources().encode())
        with open_pending_file(self.folder / _JOB_FILE) as file:
            file.write(self.job.encode())

    def save(
        self,
        first: int,
        stop: int,
        packets: Sequence[StoredPacket],
        *,
        recomputed_frames: int = 0,
        corrupted_frames: int = 0,
    ) -> None:
        """Save the frames [first, stop); see `Segment`."""
        self.claim()
        counts = (recomputed_frames, corrupted_frames)
        path, sha256 = self._file(first, stop), _digest(self.job, packets, counts)
        head = {"job": self.job, "sha256": sha256, "counts": counts, "packets": _table(packets)}
        with open_pending_file(path) as file:
            file.write(json.dumps(head).encode() + b"\n")
            file.writelines(packet.data for packet in packets)
        self._found[first] = Segment(first, stop, sha256, path.stat().st_size, *counts)
        self._firsts = sorted(self._found)

    def load(self, first: int) -> list[StoredPacket]:
        """Return the packets of the segment that begins with this frame."""
        file = self._file(first, self._found[first].stop)
        segment = _read(file, self.job)
        if segment is None:
            raise OSError(f"{file} changed while it was in use")
        return segment[0]

    def forget(self, first: int) -> None:
        """Remove the segment that begins with this frame."""
        self._file(first, self._found.pop(first).stop).unlink()
        self._firsts.remove(first)

    def remove(self) -> None:
        """Remove all segments and the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self._found.clear()
        self._firsts.clear()

    @cached_property
    def job(self) -> str:
        """Fingerprint of the job."""
        given = self._fingerprint
        return given if isinstance(given, str) else given()

    def _is_of_this_job(self) -> bool:
        try:
            file = self.folder / _JOB_FILE
            if any(each.is_symlink() for each in self.folder.rglob("*")):
                return False  # vsrc makes none: what is saved there would be written elsewhere
            return file.is_file() and file.read_text() == self.job
        except (OSError, UnicodeDecodeError):
            return False

    def _file(self, first: int, stop: int) -> Path:
        return self.folder / f"{first:08d}-{stop:08d}.segment"


def resume_folder(output: Path) -> Path:
    """Return the folder of the segments of an unfinished result."""
    output = output if output.name else output.absolute()
    return output.with_name(hidden_name(output.name, "vsrc-resume"))


@contextmanager
def lock_output(output: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold the lock of a result while it is made, so that no two jobs mix in it.

    Args:
        output: Path of the result; its folder must exist.
        shared: Whether other processes may make other pieces of it at the same time.

    Raises:
        MediaError: Another process is making it.
    """
    output = output if output.name else output.absolute()
    path = output.with_name(hidden_name(output.name, "vsrc-lock"))
    with ExitStack() as stack:
        with failures_named(output):
            is_held = stack.enter_context(hold_lock_file(path, shared=shared))
        if not is_held:
            raise MediaError(
                f"{output} is being written by another vsrc process; wait for it, or write "
                "elsewhere"
            )
        yield


def segment_spans(folder: Path) -> Iterator[tuple[int, int]]:
    """Yield first frame and stop of each segment in a folder, from the file names alone."""
    for file in folder.glob("*.segment"):
        if match := _NAME.fullmatch(file.name):
            yield int(match[1]), int(match[2])


def fingerprint(values: Sequence[object]) -> str:
    """Return a hash of everything that the bytes of a job depend on, each value by its `repr`."""
    return hashlib.sha256("\n".join(map(repr, values)).encode()).hexdigest()


def _segment(file: Path, first: int, stop: int, job: str) -> Segment | None:
    """Read and check a segment file; None if it is damaged, or of another job."""
    segment = _read(file, job)
    return Segment(first, stop, segment[1], file.stat().st_size, *segment[2]) if segment else None


def _read(file: Path, job: str) -> tuple[list[StoredPacket], str, tuple[int, int]] | None:
    """Read packets, hash and counts of a file; None if it is damaged, or of another job."""
    try:
        if not stat.S_ISREG(file.lstat().st_mode):  # opening a pipe would wait for its writer
            return None
        with file.open("rb") as stream:
            head = json.loads(stream.readline(_HEAD_BYTES))
            if head["job"] != job:
                return None
            left = file.stat().st_size - stream.tell()
            if sum(size for *_, size in head["packets"]) != left:
                return None
            packets = [_packet(stream, *values) for values in head["packets"]]
        sha256, (recomputed_frames, corrupted_frames) = str(head["sha256"]), head["counts"]
        counts = (int(recomputed_frames), int(corrupted_frames))
        if head["packets"] != _table(packets) or sha256 != _digest(job, packets, counts):
            return None
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    return packets, sha256, counts


def _packet(
    stream: IO[bytes], pts: int, dts: int, duration: int, is_key: bool, size: int
) -> StoredPacket:
    if not all(isinstance(value, int) for value in (pts, dts, duration, is_key, size)) or size < 0:
        raise TypeError(f"not a packet of a segment: {pts!r} {dts!r} {duration!r} {size!r}")
    return StoredPacket(pts, dts, duration, bool(is_key), stream.read(size))


def _table(packets: Sequence[StoredPacket]) -> list[list[int]]:
    return [
        [packet.pts, packet.dts, packet.duration, packet.is_key, len(packet.data)]
        for packet in packets
    ]


def _digest(job: str, packets: Sequence[StoredPacket], counts: tuple[int, int]) -> str:
    digest = hashlib.sha256(json.dumps([job, _table(packets), counts]).encode())
    for packet in packets:
        digest.update(packet.data)
    return digest.hexdigest()
