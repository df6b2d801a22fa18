"""The student follows the compression of each source, and one line says so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from support.places import find_in_checkout
from vsrc.runtime.decode.sources import find_sources
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.family import choose_family
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.job import open_reader
from vsrc.runtime.jobs.result import InferProgress
from vsrc.runtime.shipped_models import COMPRESSED_STUDENT, DEFAULT_STUDENT, shipped

Make = Callable[..., Any]

ENCODERS = {
    "h264": ("-c:v", "libx264", "-crf"),
    "hevc": ("-c:v", "libx265", "-x265-params", "log-level=none", "-crf"),
    "mpeg2video": ("-c:v", "mpeg2video", "-q:v"),
    "mpeg4": ("-c:v", "mpeg4", "-q:v"),
    "vp9": ("-c:v", "libvpx-vp9", "-b:v", "0", "-crf"),
    "av1": ("-c:v", "libsvtav1", "-preset", "10", "-crf"),
}

QUALITIES = {
    **dict.fromkeys(("h264", "hevc"), ("4", "50")),
    **dict.fromkeys(("mpeg2video", "mpeg4"), ("1", "31")),
    **dict.fromkeys(("vp9", "av1"), ("4", "63")),
}
"""Codec -> a fine and a coarse quality, CRF or quantiser."""


@pytest.fixture
def write_noise(tmp_path: Path, ffmpeg: Make) -> Callable[..., Path]:
    """Writes half a second of moving detail, 160x96, with the options of an encoder."""

    def write(name: str, *options: str) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        ffmpeg("-f", "lavfi", "-i", "mandelbrot=s=160x96:r=24,noise=alls=40:allf=t", "-t", "0.5",
               "-pix_fmt", "yuv420p", *options, path)  # fmt: skip
        return path

    return write


def chosen(path: Path) -> str:
    (source,) = find_sources([path])
    reader = open_reader(source, InferConfig((path,), Path("out.mkv")))
    reader.close()
    return choose_family(source, reader.info).name


@pytest.mark.parametrize("codec", ENCODERS)
def test_coarse_video_gets_the_student_for_it(write_noise: Make, codec: str) -> None:
    fine, coarse = QUALITIES[codec]
    assert chosen(write_noise("fine.mkv", *ENCODERS[codec], fine)) == DEFAULT_STUDENT
    assert chosen(write_noise("coarse.mkv", *ENCODERS[codec], coarse)) == COMPRESSED_STUDENT


@pytest.mark.parametrize(("share", "student"), [(0.8, COMPRESSED_STUDENT), (1.3, DEFAULT_STUDENT)])
def test_the_guide_says_which_student_a_dvd_gets(
    tmp_path: Path, ffmpeg: Make, share: float, student: str
) -> None:
    guide = find_in_checkout("docs/choosing.md").read_text()
    (border,) = set(re.findall(r"DVD \(MPEG-2\) (?:below|from) about (\d+) Mbit/s", guide))
    rate = f"{share * int(border)}M"
    path = tmp_path / "dvd.vob"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=720x576:r=25", "-t", "1", "-c:v", "mpeg2video",
           "-b:v", rate, "-minrate", rate, "-maxrate", rate, "-bufsize", "1M", path)  # fmt: skip
    assert chosen(path) == student


def test_lossless_video_and_images_count_as_clean(write_noise: Make) -> None:
    assert chosen(write_noise("a.mkv", "-c:v", "ffv1")) == DEFAULT_STUDENT
    write_noise("p%02d.png")
    assert chosen(write_noise("p%02d.png")) == DEFAULT_STUDENT


def test_every_file_of_a_run_gets_its_own(write_noise: Make, tmp_path: Path) -> None:
    write_noise("coarse.mp4", *ENCODERS["h264"], "45")
    write_noise("fine.mkv", "-c:v", "ffv1")
    notes: dict[str, str] = {}

    def note(progress: InferProgress) -> None:
        notes[Path(progress.input).stem] = " ".join(progress.notes)

    result = infer(InferConfig((tmp_path / "in",), tmp_path / "out"), progress=note)
    assert f"{COMPRESSED_STUDENT} selected: h264" in notes["coarse"]
    assert f"{DEFAULT_STUDENT} selected: the source is ffv1" in notes["fine"]
    graphs = {Path(file.input).stem: file.graph for file in result.files}
    assert graphs["coarse"].sha256 != graphs["fine"].sha256
    manifest = json.loads((tmp_path / "out" / "vsrc-manifest.json").read_text())
    assert len(manifest["items"]) == 2


def test_a_model_that_is_named_is_taken(write_noise: Make, tmp_path: Path) -> None:
    path = write_noise("coarse.mp4", *ENCODERS["h264"], "45")
    config = InferConfig((path,), tmp_path / "a.mkv", model=shipped("edge-s"))
    seen: list[InferProgress] = []
    infer(config, progress=seen.append)
    assert not any("selected: " in note for note in seen[0].notes)
