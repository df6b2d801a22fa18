"""Still images of many kinds, alone: `-o one.png` is one image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.marked_clips import make_clip, read_marks, run_program
from support.marked_runs import upscale
from vsrc.runtime.decode.detection import PICTURE_SUFFIXES

WORDS = {
    ".avif": "-c:v libaom-av1 -cpu-used 8 -still-picture 1",
    ".tif": "-pix_fmt rgb24",
    ".tiff": "-pix_fmt rgb24",
}
"""For ffmpeg, which would store TIFF in a YCbCr of which nothing says the range."""

LOSSY = frozenset((".avif", ".jp2", ".jpeg", ".jpg", ".webp"))


@pytest.mark.parametrize("suffix", sorted(PICTURE_SUFFIXES))
def test_an_image_becomes_one_image(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / f"a{suffix}"
    words = WORDS.get(suffix, "")
    make_clip(source, f"-an -frames:v 1 {words}", first=170)
    output = tmp_path / "one.png"
    upscale(source, output)
    assert read_marks(output) == [170]
    if suffix not in LOSSY:
        raw = [
            run_program("ffmpeg", "-i", path, "-f", "rawvideo", "-pix_fmt", "gray", "-")
            for path in (source, output)
        ]
        before, after = (np.frombuffer(data, np.uint8).astype(int) for data in raw)
        assert np.abs(after - before).max() <= 1  # grey from RGB is rounded
