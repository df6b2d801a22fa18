"""Subtitles that are images, in the format of Blu-ray discs (PGS), which FFmpeg does not write."""

from __future__ import annotations

import struct
from pathlib import Path

_CLOCK_HERTZ = 90_000
_PICTURE, _WINDOW, _PALETTE, _IMAGE, _END = 0x16, 0x17, 0x14, 0x15, 0x80
"""Types of segments."""


def write_sup(path: Path, times: list[tuple[float, float]]) -> Path:
    """Write a bar of 16 x 8 pixels, shown from one time to another, seconds."""
    shown = [(time, not number % 2) for number, time in enumerate(sum(times, ()))]
    path.write_bytes(b"".join(_display_set(n, *entry) for n, entry in enumerate(shown)))
    return path


def _display_set(number: int, seconds: float, is_shown: bool) -> bytes:
    window = bytes((0,)) + struct.pack(">HHHH", 8, 8, 16, 8)
    image = b"".join(bytes([1] * 16) + b"\0\0" for _ in range(8))
    state = 0x80 if is_shown else 0  # a new epoch
    picture = struct.pack(">HHBHBBBB", 64, 48, 0x10, number, state, 0, 0, is_shown)
    segments = [
        (_PICTURE, picture + struct.pack(">HBBHH", 0, 0, 0, 8, 8) * is_shown),
        (_WINDOW, b"\1" + window),
        *[(_PALETTE, bytes((0, 0, 1, 235, 128, 128, 255)))] * is_shown,
        *[(_IMAGE, _head(image) + image)] * is_shown,
        (_END, b""),
    ]
    stamp = struct.pack(">II", round(seconds * _CLOCK_HERTZ), 0)
    return b"".join(
        b"PG" + stamp + struct.pack(">BH", kind, len(data)) + data for kind, data in segments
    )


def _head(image: bytes) -> bytes:
    size = (len(image) + 4).to_bytes(3, "big")
    return struct.pack(">HBB", 0, 0, 0xC0) + size + struct.pack(">HH", 16, 8)
