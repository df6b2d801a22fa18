"""The pixel aspect of video in Matroska and WebM, read by ffprobe."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from pathlib import Path

import pytest

from support.enlarger import Enlarger
from support.marked_clips import make_clip, read_marks, run_program
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

SOURCE = "-c:v libx264 -preset ultrafast -an"

OUTPUTS = {"h264.mkv": "x264", "ffv1.mkv": "ffv1", "vp9.webm": "vp9", "av1.webm": "av1"}

SHAPES = [
    (64, 48, "4/3"),
    (720, 576, "64/45"),  # DVD in PAL, 16:9
    (402, 300, "12/11"),
    (96, 480, "40/33"),
    (64, 48, "1"),
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", OUTPUTS)
def test_the_pixel_aspect_is_kept(tmp_path: Path, name: str, shape: tuple[int, int, str]) -> None:
    width, height, aspect = shape
    filters = f"-vf scale={width}:{height}:flags=neighbor,setsar={aspect}"
    source = make_clip(tmp_path / "a.mp4", f"{SOURCE} {filters}", seconds=0.12)
    output = tmp_path / name
    config = InferConfig((source,), output, codec=OUTPUTS[name])
    infer(config, session=Enlarger(scale=1, window=1))
    wanted = "stream=width,height,sample_aspect_ratio:stream_tags:stream_side_data"
    shown = run_program("ffprobe", "-of", "json", "-show_entries", wanted, output)
    (video,) = json.loads(shown)["streams"]
    assert (video["width"], video["height"]) == (width, height)
    shown_aspect = video.get("sample_aspect_ratio", "1:1").replace(":", "/")
    # A narrow video has one byte for each side of its size of display.
    assert float(Fraction(shown_aspect)) == pytest.approx(float(Fraction(aspect)), rel=0.001)
    assert not any("stereo" in entry.lower() for entry in json.dumps(video).split())
    assert read_marks(output) == [0, 1, 2]


def test_checksums_are_right_and_the_size_of_display_is_that_of_the_pixels(tmp_path: Path) -> None:
    words = f"{SOURCE} -vf scale=720:576:flags=neighbor,setsar=64/45"
    source, output = make_clip(tmp_path / "a.mp4", words, seconds=0.12), tmp_path / "b.mkv"
    infer(InferConfig((source,), output, codec="ffv1"), session=Enlarger(scale=1, window=1))
    data = output.read_bytes()
    assert b"\x54\xb0\x82" + (1024).to_bytes(2, "big") in data
    assert b"\x54\xba\x82" + (576).to_bytes(2, "big") in data
    check = ["ffprobe", "-v", "warning", "-err_detect", "crccheck", "-show_streams", str(output)]
    done = subprocess.run(check, capture_output=True, check=True)
    assert done.stderr == b""
