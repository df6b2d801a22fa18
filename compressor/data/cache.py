"""Frames decoded once, kept as plain uint8 files that are mapped into memory.

    <cache>/clips/<sha256 of the source>[-h360]/
        clip.json          what it is: ClipEntry
        hr.u8              (T, 3, H, W) uint8 RGB
        shots-1.json       first frame of each shot, by version of the cut detector
        lr-bi-x4.u8        (T, 3, H/4, W/4) uint8, one file per degradation and scale
    <cache>/seen/...       path, size, time, samples of a source -> its sha256, to hash it once
    <cache>/partial/...    work in progress; moved into place when complete

Planar, as networks take planes: a crop is then copied without rearranging bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from vsrc.compressor.data.whole import whole_file, whole_folder
from vsrc.runtime.decode.clip_source import ClipSource
from vsrc.runtime.decode.clips.clip_frames import ClipFrames
from vsrc.runtime.decode.clips.lmdb_frames import database_of, lmdb_sha256
from vsrc.runtime.decode.cuts import VERSION as CUTS_VERSION
from vsrc.runtime.decode.cuts import first_frames
from vsrc.runtime.errors import MediaError, SpecError
from vsrc.runtime.hashing import file_sha256, sample_sha256
from vsrc.runtime.picture.fast_resize import Planes
from vsrc.runtime.schema import from_json, to_json

logger = logging.getLogger(__name__)

_REPORT_EVERY = 50
"""Frames between two progress reports: one or two seconds of decoding."""


@dataclass(frozen=True)
class ClipEntry:
    """Content of `clip.json`.

    Attributes:
        source: Path of the decoded source, for messages.
        sha256: SHA-256 of the source's bytes, hexadecimal.
        frames: Number of frames, T.
        height: Frame height H, pixels.
        width: Frame width W, pixels.
        notes: Damage of the source that decoding could work around.
    """

    source: str
    sha256: str
    frames: int
    height: int
    width: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CachedClip:
    """A decoded clip: its folder in the cache and its description."""

    folder: Path
    entry: ClipEntry

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(T, 3, H, W)` of `hr.u8`."""
        return (self.entry.frames, 3, self.entry.height, self.entry.width)

    def frames(self) -> Planes:
        """The HR frames, mapped: `(T, 3, H, W)` uint8 RGB."""
        return np.memmap(self.folder / "hr.u8", dtype=np.uint8, mode="r", shape=self.shape)


class FrameCache:
    """Decoded clips in a folder; several processes may use it at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def clip(
        self,
        source: ClipSource,
        *,
        max_height: int | None = None,
        progress: Callable[[int], None] = lambda _frames: None,
    ) -> CachedClip:
        """Return the decoded clip; decode it if it is missing or damaged.

        Args:
            source: Source of the frames.
            max_height: Taller frames are downscaled (bicubic, antialiased) before they are stored.
            progress: Called every few seconds with the number of frames decoded.

        Raises:
            MediaError: The source cannot be decoded.
            DataError: The cache cannot be written.
        """
        sha256 = self._sha256(source)
        limit = f"-h{max_height}" if max_height else ""
        folder = self.folder / "clips" / f"{sha256[:40]}{limit}"
        if (clip := _open_clip(folder)) is not None:
            return clip
        size_bytes = _estimate_bytes(source, max_height)
        with whole_folder(
            folder, cache=self.folder, size_bytes=size_bytes, is_whole=_is_whole
        ) as partial:
            frames = ClipFrames(source)
            planes = _iter_reporting(_shrunk(frames, max_height), progress)
            with (partial / "hr.u8").open("wb") as file:
                shape = _write(planes, file)
            entry = ClipEntry(str(source.place), sha256, *shape, notes=frames.notes)
            (partial / "clip.json").write_text(json.dumps(to_json(entry), indent=2) + "\n")
        # Another process may have been faster; its clip is the same.
        return _open_clip(folder) or CachedClip(folder, entry)

    def shots(self, clip: CachedClip) -> list[int]:
        """First frame of each shot."""
        path = clip.folder / f"shots-{CUTS_VERSION}.json"
        if (known := _read_shots(path)) is not None:
            return known
        # Green alone is luma enough to see a cut, and it is a plane of the cache.
        starts = first_frames(frame[1] for frame in clip.frames())
        with whole_file(path, cache=self.folder, size_bytes=8 * len(starts)) as file:
            file.write(json.dumps(starts).encode())
        return starts

    def lr(
        self, clip: CachedClip, *, name: str, scale: int, degrade: Callable[[Planes, int], Planes]
    ) -> Path:
        """LR frames made from the clip cropped to a multiple of `scale`: `(T, 3, H/s, W/s)` uint8.

        Args:
            clip: A cached clip, at least `scale` pixels on each side.
            name: Name of the degradation.
            scale: HR/LR side ratio.
            degrade: Function of frames `(T, 3, H, W)` and the scale; returns the LR frames.
        """
        path = clip.folder / f"lr-{name}-x{scale}.u8"
        rows, columns = clip.entry.height // scale, clip.entry.width // scale
        size_bytes = clip.entry.frames * 3 * rows * columns
        if path.is_file() and path.stat().st_size == size_bytes:
            return path
        cropped = (frame[..., : rows * scale, : columns * scale] for frame in clip.frames())
        with whole_file(path, cache=self.folder, size_bytes=size_bytes) as file:
            _write((degrade(frame, scale) for frame in cropped), file)
        return path

    def _sha256(self, source: ClipSource) -> str:
        """SHA-256 of the source's bytes, cached by path, size, time and samples."""
        try:
            memo = self.folder / "seen" / _fingerprint(source)
            if memo.is_file() and len(text := memo.read_text()) == 64:
                return text
            hashes = [_content_sha256(file) for file in source.files]
        except OSError as error:
            raise MediaError(f"{source.place} cannot be read: {error.strerror}") from error
        sha256 = hashes[0] if source.is_video else _hash_of(hashes)
        with whole_file(memo, cache=self.folder, size_bytes=64) as file:
            file.write(sha256.encode())
        return sha256


def _open_clip(folder: Path) -> CachedClip | None:
    """Return the clip in this folder, or None if it is absent or incomplete."""
    try:
        text = (folder / "clip.json").read_text()
        clip = CachedClip(folder, from_json(ClipEntry, json.loads(text), where=str(folder)))
        size_bytes = (folder / "hr.u8").stat().st_size
    except FileNotFoundError:
        return None
    except (ValueError, SpecError, OSError) as error:
        logger.warning("%s is damaged (%s); decoding it again", folder, error)
        return None
    if size_bytes != int(np.prod(clip.shape)):
        logger.warning("%s is damaged (%d bytes in hr.u8); decoding again", folder, size_bytes)
        return None
    return clip


def _is_whole(folder: Path) -> bool:
    return _open_clip(folder) is not None


def _read_shots(path: Path) -> list[int] | None:
    try:
        return [int(start) for start in json.loads(path.read_text())]
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        logger.warning("%s is damaged (%s); detecting cuts again", path, error)
        return None


def _estimate_bytes(source: ClipSource, max_height: int | None) -> int:
    frames, height, width = ClipFrames(source).estimate()
    factor = min(1.0, max_height / height) if max_height else 1.0
    return round(frames * 3 * height * width * factor**2)


def _write(frames: Iterable[Planes], file: IO[bytes]) -> tuple[int, int, int]:
    """Write frames `(3, H, W)` one after another; return their number, H and W."""
    count, height, width = 0, 0, 0
    for planes in frames:
        file.write(planes.tobytes())
        count, height, width = count + 1, planes.shape[1], planes.shape[2]
    return count, height, width


def _iter_reporting(frames: Iterable[Planes], progress: Callable[[int], None]) -> Iterator[Planes]:
    for count, planes in enumerate(frames, start=1):
        yield planes
        if count % _REPORT_EVERY == 0:
            progress(count)


def _shrunk(frames: Iterable[NDArray[np.uint8]], max_height: int | None) -> Iterator[Planes]:
    for frame in frames:
        planes = np.ascontiguousarray(frame.transpose(2, 0, 1))
        height, width = planes.shape[1:]
        if max_height and height > max_height:
            yield _resize(planes, height=max_height, width=round(width * max_height / height))
        else:
            yield planes


def _resize(planes: Planes, *, height: int, width: int) -> Planes:
    """Resize `(C, H, W)` uint8: bicubic, antialiased, equal to MATLAB's away from the border."""
    floats = torch.from_numpy(planes).to(torch.float32)[None]
    resized = F.interpolate(floats, (height, width), mode="bicubic", antialias=True)[0]
    return np.asarray(resized.round_().clamp_(0, 255).to(torch.uint8).numpy())


def _fingerprint(source: ClipSource) -> str:
    """Hash of path, size, modification time and samples of each file: changes with any."""
    lines = []
    sampled: dict[Path, str] = {}
    for file in source.files:
        path, database = file.resolve(), database_of(file)
        content = path if database is None else database / "data.mdb"
        if content not in sampled:
            sampled[content] = sample_sha256(content)
        status = content.stat()
        lines.append(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{sampled[content]}")
    return _hash_of(lines)


def _content_sha256(file: Path) -> str:
    database = database_of(file)
    return file_sha256(file) if database is None else lmdb_sha256(database, file)


def _hash_of(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
