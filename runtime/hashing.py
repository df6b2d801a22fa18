"""Compute hashes of files."""

from __future__ import annotations

import hashlib
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
