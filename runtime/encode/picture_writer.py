"""Write upscaled frames as numbered or named PNG files."""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.decode.frames.frame_data import describe_frame_data
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.encode.kept_states import KeptStates, SegmentCounter
from vsrc.runtime.encode.segments import SegmentStore, SegmentTotals, StoredPacket
from vsrc.runtime.errors import MediaError
from vsrc.runtime.hashing import bytes_sha256, file_sha256
from vsrc.runtime.pending_file import failures_named
from vsrc.runtime.pending_folder import PendingFolder, place_files, place_folder
from vsrc.runtime.pixels import Pixels, to_8_bits, to_16_bits
from vsrc.runtime.text.size_text import format_size

if TYPE_CHECKING:
    import av


_SEGMENT_FRAMES = 24
"""Number of images after which a segment with their names and hashes is saved."""


class PictureWriter:
    """Writes PNG files to a folder; they appear in it together, when all are written.

    Until then they are in the store's folder. Their segments hold names and hashes.

    Attributes:
        summary: Format and size of the images.
        notes: Lines to report to the user, on what images cannot carry.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pattern: str,
        info: VideoInfo,
        scale: int,
        store: SegmentStore | None = None,
    ) -> None:
        self.notes: list[str] = []
        if info.tracks:
            self.notes.append("the other tracks are left out: images cannot carry them")
        self.notes += [
            f"{words}: left out, images cannot carry it"
            for words in describe_frame_data(info.frame_data)
        ]
        self._folder = folder
        self._pattern = pattern
        self._store = store
        self._number = self._first = 0
        self._names: set[str] = set()
        self._there = _png_names(folder)
        self._packets: list[StoredPacket] = []
        self._recomputed_frames = self._corrupted_frames = 0
        # Image viewers do not apply the display matrix.
        self._orientation = info.orientation
        self._width, self._height = (side * scale for side in info.upright_size)
        self._encoder: av.VideoCodecContext | None = None
        self._pix_fmt = "rgb24" if info.depth <= 8 else "rgb48be"
        self.summary = f"png {self._pix_fmt} {format_size(self._width, self._height)}"
        self._pending: PendingFolder | None = None
        with failures_named(folder):
            if store is None:
                is_one = bool(pattern) and "%" not in pattern
                if is_one:  # it is placed in a folder that may hold anything
                    folder.mkdir(parents=True, exist_ok=True)
                self._pending = PendingFolder(folder / pattern if is_one else folder)
                self._unfinished = self._pending.folder
            else:
                self._unfinished = _kept_folder(store)

    @property
    def kept(self) -> SegmentTotals:
        """Images that exist and are verified."""
        return self._store.kept if self._store else SegmentTotals()

    def is_kept(self, number: int, /) -> bool:
        """Whether this image exists from a run that was stopped."""
        return self._store is not None and self._store.covers(number)

    def kept_states(self) -> KeptStates | None:
        """Return the states at the borders of segments."""
        if self._store is None:
            return None
        counter = SegmentCounter(_ends_segment)
        return KeptStates(self._store, counter, next_missing=self._store.next_missing)

    def write(self, frame: ResultFrame, /) -> None:
        """Write one file, unless it exists."""
        if not frame.counts:
            return
        if frame.name and not self._pattern:
            name = f"{frame.name}.png"
        else:
            name = self._numbered_name()
        if name in self._names:
            raise MediaError(f"two images would be called {name}; give a pattern: %08d.png")
        self._names.add(name)
        with failures_named(self._folder):
            if frame.rgb is not None:
                self._save(name, self._png(self._orientation.upright(frame.rgb)))
            self._recomputed_frames += frame.is_recomputed
            self._corrupted_frames += frame.is_corrupted
            self._number += 1
            if _ends_segment(self._number - self._first, starts_shot=False):
                self._close_segment()

    def _numbered_name(self) -> str:
        pattern = self._pattern or "%08d.png"
        return pattern % self._number if "%" in pattern else pattern

    def finish(self) -> None:
        """Move the files into their folder."""
        with failures_named(self._folder):
            if new := self._names & _png_names(self._folder) - self._there:
                raise MediaError(
                    f"{self._folder / min(new)} was created by another process meanwhile; what is "
                    "finished is kept; move that image, or write elsewhere"
                )
            if self._folder.exists():
                place_files(self._unfinished, self._folder)
            else:
                place_folder(self._unfinished, self._folder)
            if self._store is not None:
                self._store.remove()

    def discard(self) -> None:
        """Remove what was written, but not the finished segments."""
        if self._pending is not None:
            self._pending.discard()
        if self._store is not None and not self._store.kept.frames:
            self._store.remove()

    def _save(self, name: str, png: bytes) -> None:
        with (self._unfinished / name).open("wb") as file:
            file.write(png)
            file.flush()
            if self._store is not None:
                os.fsync(file.fileno())
        entry = json.dumps([name, bytes_sha256(png)]).encode()
        self._packets.append(StoredPacket(self._number, self._number, 1, True, entry))

    def _close_segment(self) -> None:
        first, self._first = self._first, self._number
        packets, self._packets = self._packets, []
        recomputed_frames, self._recomputed_frames = self._recomputed_frames, 0
        corrupted_frames, self._corrupted_frames = self._corrupted_frames, 0
        if self._store is not None and self._store.at(first) is None:
            self._store.save(
                first,
                self._number,
                packets,
                recomputed_frames=recomputed_frames,
                corrupted_frames=corrupted_frames,
            )

    def _png(self, rgb: Pixels) -> bytes:
        import av

        if self._encoder is None:
            self._encoder = av.CodecContext.create("png", "w")
            self._encoder.width, self._encoder.height = self._width, self._height
            self._encoder.pix_fmt = self._pix_fmt
            self._encoder.time_base = Fraction(1, 25)
            # With more threads an image would be returned only when a later one is sent.
            self._encoder.thread_count = 1
        if self._pix_fmt == "rgb24":
            samples: Pixels = np.ascontiguousarray(to_8_bits(rgb))
        else:
            samples = np.ascontiguousarray(to_16_bits(rgb))
        frame = av.VideoFrame.from_ndarray(samples, self._pix_fmt)
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))


def _png_names(folder: Path) -> set[str]:
    return {path.name for path in folder.glob("*.png")}


def _ends_segment(length: int, *, starts_shot: bool) -> bool:
    del starts_shot
    return length == _SEGMENT_FRAMES


def _kept_folder(store: SegmentStore) -> Path:
    """Return the store's folder for images, after removing segments with a damaged image."""
    store.claim()
    folder = store.folder / "pictures"
    folder.mkdir(exist_ok=True)
    for first in store.firsts:
        if not all(_is_whole(folder, entry) for entry in store.load(first)):
            store.forget(first)
    return folder


def _is_whole(folder: Path, entry: StoredPacket) -> bool:
    name, sha256 = json.loads(entry.data)
    try:
        return file_sha256(folder / name) == str(sha256)
    except OSError:
        return False
