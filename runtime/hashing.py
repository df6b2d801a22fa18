"""Hash of a file's bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

_SAMPLES = 16
_SAMPLE_BYTES = 4096


def file_sha256(path: Path) -> str:
    """SHA-256 of the file's bytes, hex; read in pieces so that memory does not grow with it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def bytes_sha256(data: bytes) -> str:
    """SHA-256 of bytes, hex."""
    return hashlib.sha256(data).hexdigest()


def sample_sha256(path: Path) -> str:
    """SHA-256 of the file's size and of 16 blocks of 4 KiB spread over it, hex.

    Tells one video from another in no time, whatever their length and on whatever machine; copies
    are the same. It is no proof against somebody who changes a byte on purpose.
    """
    size = path.stat().st_size
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for place in range(_SAMPLES):
            file.seek(max(0, size - _SAMPLE_BYTES) * place // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()
