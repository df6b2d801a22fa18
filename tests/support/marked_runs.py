"""Marked clips through `infer`, with a network that changes nothing."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from support.enlarger import Enlarger
from support.marked_clips import make_clip, run_program
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult

FRAME = 0.04
TICK = 0.002
"""Length of a frame, and what Matroska's milliseconds add to a difference, seconds."""

OPEN = "-c:v libx264 -preset ultrafast -bf 2 -x264-params keyint=10:open-gop=1:scenecut=0"
MPEG4 = "-c:v mpeg4 -bf 2 -g 10 -q:v 3 -sc_threshold 1000000000"
VP8 = "-c:v libvpx -g 10 -b:v 200k -deadline realtime -cpu-used 8"
VP9 = "-c:v libvpx-vp9 -g 10 -b:v 200k -deadline realtime -cpu-used 8"
HIDDEN = "-b:v 200k -auto-alt-ref 1 -lag-in-frames 16 -deadline good -cpu-used 5"
AV1 = "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 10"
"""Words for ffmpeg: more codecs with a key frame each 10 frames."""


@cache
def has_encoders(words: str) -> bool:
    known = run_program("ffmpeg", "-hide_banner", "-encoders").decode().split()
    arguments = words.split()
    return all(arguments[place + 1] in known for place in indices(arguments, "-c:v", "-c:a"))


def indices(words: list[str], *wanted: str) -> list[int]:
    return [place for place, word in enumerate(words) if word in wanted]


def make(path: Path, words: str, **options: Any) -> Path:  # noqa: ANN401
    if not has_encoders(words):
        pytest.skip(f"this ffmpeg has no encoder for {words}")
    return make_clip(path, words, **options)


def upscale(source: Path, output: Path, **options: Any) -> FileResult:  # noqa: ANN401
    config = InferConfig((source,), output, codec="ffv1", threads=1, **options)
    return infer(config, session=Enlarger(scale=1, window=1)).files[0]


def said(result: FileResult) -> list[str]:
    """What was noted, but for what is said of every float source."""
    return [note for note in result.notes if "are upscaled in 8 bits" not in note]
