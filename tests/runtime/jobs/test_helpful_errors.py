"""Advice in messages works when typed."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner, Result

from support.optional import skip_without
from vsrc.cli import main
from vsrc.runtime.shipped_models import list_shipped

Make = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, tiny_package: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a picture and a package, x2."""
    skip_without("PIL")
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "picture.png")
    shutil.copytree(tiny_package, tmp_path / "student.vsrc")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(line: str) -> Result:
    return CliRunner().invoke(main, shlex.split(line))


def test_a_picture_may_become_a_picture(here: Path) -> None:
    from PIL import Image

    line = "infer picture.png -m student.vsrc -o one.png"
    done = run(line)
    assert done.exit_code == 0, done.output
    assert done.stdout.split()[0] == "one.png"
    with Image.open(here / "one.png") as image:
        assert image.size == (64, 48)
    assert sorted(path.name for path in here.iterdir()) == [
        "one.png",
        "picture.png",
        "student.vsrc",
    ]
    before = (here / "one.png").read_bytes()
    assert run(line).exit_code == 2
    assert run(f"{line} --overwrite").exit_code == 0
    assert (here / "one.png").read_bytes() == before
    assert run("infer picture.png -m student.vsrc -o new/one.png").exit_code == 0
    assert (here / "new" / "one.png").read_bytes() == before


def test_a_picture_is_not_its_own_result(here: Path) -> None:
    before = (here / "picture.png").read_bytes()
    done = run("infer picture.png -m student.vsrc -o picture.png --overwrite")
    assert done.exit_code == 2
    assert (here / "picture.png").read_bytes() == before


def test_one_frame_of_a_video_may_become_a_picture(here: Path) -> None:
    from PIL import Image

    clip = ["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=s=32x24:d=0.2", "clip.mkv"]
    subprocess.run(clip, check=True)
    assert "--frames 1" in run("infer clip.mkv -m student.vsrc -o one.png").stderr
    assert run("infer clip.mkv -m student.vsrc -o one.png --frames 1").exit_code == 0
    assert run("infer clip.mkv -m student.vsrc -o all/%02d.png").exit_code == 0
    with Image.open(here / "one.png") as image, Image.open(here / "all" / "00.png") as first:
        assert image.tobytes() == first.tobytes()


@pytest.mark.usefixtures("here")
def test_several_frames_do_not_fit_in_one_picture() -> None:
    shutil.copy("picture.png", "second.png")
    done = run("infer picture.png second.png -m student.vsrc -o one.png")
    assert done.exit_code == 2
    assert "%08d.png" in done.stderr
    assert run("infer picture.png second.png -m student.vsrc -o out/%08d.png").exit_code == 0


@pytest.mark.usefixtures("here")
def test_an_unknown_model_lists_those_that_ship() -> None:
    done = run("infer picture.png -m edge-n -o one.png")
    assert all(name in done.stderr for name in list_shipped())
    assert "did you mean edge-" in done.stderr


def test_a_gif_is_made_with_the_command_that_is_told(
    here: Path, write_clip: Make, moving: Make
) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("ffmpeg is not installed; apt-get install ffmpeg")
    write_clip(here / "clip.mkv", moving(3))
    done = run("infer clip.mkv -m student.vsrc -o out.gif")
    assert done.exit_code == 1
    assert run("infer clip.mkv -m student.vsrc -o out.mp4").exit_code == 0
    command = done.stderr.strip().partition("convert it: ")[2]
    subprocess.run(shlex.split(command), check=True, capture_output=True)
    assert (here / "out.gif").is_file()


# Primaries, transfer, matrix, range: BT.2020 with PQ, and with HLG.
@pytest.mark.parametrize("colour", [(9, 16, 9, 1), (9, 18, 9, 1)])
def test_hdr_is_mapped_by_the_command_that_is_told(
    here: Path, write_clip: Make, moving: Make, colour: tuple[int, int, int, int]
) -> None:
    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed; apt-get install ffmpeg")
    clip = here / "my hdr.mkv"
    write_clip(clip, moving(2), codec="ffv1", pix_fmt="yuv420p10le", colour=colour)
    done = run(f"infer {shlex.quote(clip.name)} -m student.vsrc -o out.mp4")
    assert done.exit_code == 1
    command = done.stderr.partition("first (")[2].partition("), or ")[0]
    mapped = subprocess.run(shlex.split(command), check=False, capture_output=True, text=True)
    if "No such filter" in mapped.stderr:
        pytest.skip("this ffmpeg has no zscale")
    assert mapped.returncode == 0, mapped.stderr
    sdr = here / "my hdr-sdr.mkv"
    with av.open(str(sdr)) as container:
        frame = next(container.decode(video=0))
        assert (int(frame.color_trc), int(frame.colorspace)) == (1, 1)
        assert frame.format.name == "yuv420p"
    done = run(f"infer {shlex.quote(sdr.name)} -m student.vsrc -o out.mp4")
    assert done.exit_code == 0, done.output
