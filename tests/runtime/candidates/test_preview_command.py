"""Commands on the page of a preview do what the preview did; ffmpeg runs its own."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime.candidates.preview_command import format_ffmpeg_command
from vsrc.runtime.candidates.preview_config import PreviewConfig

Make = Callable[..., Any]


@pytest.mark.parametrize("deinterlace", [False, True])
def test_ffmpeg_deinterlaces_if_the_preview_did(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, deinterlace: bool
) -> None:
    source = tmp_path / "a b.mkv"
    lavfi = "-f lavfi -i testsrc2=s=32x32:r=50:d=0.4 -vf interlace -flags +ildct+ilme"
    ffmpeg(*lavfi.split(), "-c:v", "mpeg2video", source)
    config = PreviewConfig(video=source, deinterlace=deinterlace)
    program, *words, name = shlex.split(format_ffmpeg_command(config, "Lanczos", scale=2))
    assert program == "ffmpeg"
    assert name.startswith("a b-lanczos.")
    ffmpeg(*words, tmp_path / name)
    (stream,) = ffprobe(tmp_path / name, "-show_streams", "-count_frames")["streams"]
    assert (stream["width"], stream["nb_read_frames"]) == (64, "10")
    assert (stream.get("field_order", "progressive") == "progressive") is deinterlace
