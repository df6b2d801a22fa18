"""Names of the hidden files and folders that lie beside a result while it is made."""

from __future__ import annotations

import hashlib
import os

_LONGEST_BYTES = 255
"""Longest name of a file on most file systems, bytes."""


def hidden_name(name: str, ending: str) -> str:
    """Return `.NAME.ENDING`, with the name shortened where a file system could not hold it."""
    whole = f".{name}.{ending}"
    if len(os.fsencode(whole)) <= _LONGEST_BYTES:
        return whole
    digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    room = _LONGEST_BYTES - len(os.fsencode(f".~{digest}.{ending}"))
    start = os.fsencode(name)[:room].decode(errors="ignore")
    return f".{start}~{digest}.{ending}"
