"""Writes restored frames as numbered or named PNG files."""

from __future__ import annotations

import secrets
import shutil
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.errors import MediaError
from vsrc.runtime.part_file import failures_named
from vsrc.runtime.pixels import Pixels, to_8_bits, to_16_bits
from vsrc.runtime.probe import VideoInfo
from vsrc.runtime.stamped import ResultFrame

if TYPE_CHECKING:
    import av


class PictureWriter:
    """Fills a folder with PNG files; they appear in it together, when all are written.

    Attributes:
        summary: What is written.
        notes: What pictures cannot keep.
        kept_frames: Always 0.
    """

    kept_frames = 0

    def __init__(self, folder: Path, *, pattern: str, info: VideoInfo, scale: int) -> None:
        self.notes: list[str] = []
        if info.tracks:
            self.notes.append("the other tracks are left out: pictures cannot carry them")
        self._folder = folder
        self._pattern = pattern
        self._count = 0
        # A picture has no player to turn it.
        self._quarter_turns = round(info.rotation / 90) % 4
        size = (info.width * scale, info.height * scale)
        self._width, self._height = size[::-1] if self._quarter_turns % 2 else size
        self._encoder: av.VideoCodecContext | None = None
        self._pix_fmt = "rgb24" if info.depth <= 8 else "rgb48be"
        self.summary = f"png {self._pix_fmt} {self._width}x{self._height}"
        self._temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.part")
        with failures_named(folder):
            self._temporary.mkdir()

    def is_kept(self, _number: int, /) -> bool:
        """Nothing is kept of pictures."""
        return False

    def write(self, frame: ResultFrame, /) -> None:
        """Write one file."""
        if frame.rgb is None:
            return
        if frame.name and not self._pattern:
            name = f"{frame.name}.png"
        else:
            name = (self._pattern or "%08d.png") % self._count
        self._count += 1
        with failures_named(self._folder):
            file = self._temporary / name
            if file.exists():
                raise MediaError(f"two pictures would be called {name}; give a pattern: %08d.png")
            file.write_bytes(self._png(np.rot90(frame.rgb, self._quarter_turns)))

    def finish(self) -> None:
        """Move the files into their folder."""
        with failures_named(self._folder):
            if not self._folder.exists():
                self._temporary.replace(self._folder)
                return
            for file in sorted(self._temporary.iterdir()):
                file.replace(self._folder / file.name)
            self._temporary.rmdir()

    def discard(self) -> None:
        """Remove what was written."""
        shutil.rmtree(self._temporary, ignore_errors=True)

    def _png(self, rgb: Pixels) -> bytes:
        import av

        if self._encoder is None:
            self._encoder = av.CodecContext.create("png", "w")
            self._encoder.width, self._encoder.height = self._width, self._height
            self._encoder.pix_fmt = self._pix_fmt
            self._encoder.time_base = Fraction(1, 25)
            # With more threads a picture would come out when a later one goes in.
            self._encoder.thread_count = 1
        if self._pix_fmt == "rgb24":
            samples: Pixels = np.ascontiguousarray(to_8_bits(rgb))
        else:
            samples = np.ascontiguousarray(to_16_bits(rgb))
        frame = av.VideoFrame.from_ndarray(samples, self._pix_fmt)
        return b"".join(bytes(packet) for packet in self._encoder.encode(frame))
