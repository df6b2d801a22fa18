"""Compute hashes of files, and tell whether a file is still the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

_SAMPLES = 16
_SAMPLE_BYTES = 4096


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, hex; it is read in chunks, so memory stays constant."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def bytes_sha256(data: bytes) -> str:
    """Return the SHA-256 of bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def sample_sha256(path: Path) -> str:
    """Return the SHA-256 of a file's size and of 16 blocks of 4 KiB spread over it, hex.

    A fast identifier of a video, independent of its length and of the machine; copies have the
    same. It does not protect against deliberate changes.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for place in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * place // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


@dataclass(frozen=True)
class ContentRecord:
    """The content of a file, and what its unchanged content is recognised by.

    Attributes:
        size_bytes: Size of the file.
        mtime_ns: Time of its last modification, ns since 1970.
        sample_sha256: Hash from `sample_sha256`.
        sha256: Hash of all bytes.
    """

    size_bytes: int
    mtime_ns: int
    sample_sha256: str
    sha256: str


def file_state(path: Path) -> tuple[int, ...] | None:
    """Return what changes when a file is replaced or written; None if there is none."""
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def record_content(
    path: Path, known: Iterable[ContentRecord] = (), *, verify: bool = False
) -> ContentRecord:
    """Return the record of a file; all bytes are read only where the content may have changed.

        size and time of a known record, and equal samples    the known hash
        anything else                                         the hash of all bytes

    Args:
        path: The file.
        known: Records of earlier runs.
        verify: Whether all bytes are read in any case. Otherwise an edit that keeps size and time
            of modification, and changes no sample, is not noticed.
    """
    status = path.stat()
    sample = sample_sha256(path)
    if not verify:
        for record in known:
            seen = (record.size_bytes, record.mtime_ns, record.sample_sha256)
            if seen == (status.st_size, status.st_mtime_ns, sample):
                return record
    identity = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
    whole = _whole_sha256(path, *identity, status.st_ctime_ns)
    return ContentRecord(status.st_size, status.st_mtime_ns, sample, whole)


@lru_cache(maxsize=64)
def _whole_sha256(path: Path, *_identity: int) -> str:
    """Hash of a file, read once by a process as long as the file is not touched."""
    return file_sha256(path)
