"""The demo as a newcomer runs it, with few steps: every file is there and the numbers hold."""

from __future__ import annotations

import re
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.demo.demo_config import DemoConfig
from vsrc.demo.material import FIRST_JUDGED, TRAINING_FRAMES, prepare
from vsrc.demo.tour import MARKER, STUDENT, demo, upscale_clip
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import downscale, upscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.sample import SAMPLE_CLIP, sample_frames


@pytest.mark.slow
def test_demo_makes_what_it_promises(tmp_path: Path) -> None:
    folder = tmp_path / "made"
    result = CliRunner().invoke(main, ["demo", "-o", str(folder), "--steps", "2"])
    assert result.exit_code == 0, result.output
    said = dict(
        line.strip().rsplit("  ", 1) for line in result.stdout.splitlines() if line.endswith(" dB")
    )
    scores = {label.strip(): float(value.split()[0]) for label, value in said.items()}
    assert list(scores) == ["Bicubic", "edge-s of this demo", "edge-s that ships"]

    hr = sample_frames(120)[FIRST_JUDGED:]
    bicubic = np.mean([psnr(upscale(downscale(frame, 4), 4), frame) for frame in hr])
    assert scores["Bicubic"] == pytest.approx(float(bicubic), abs=0.005)
    assert scores["edge-s that ships"] > scores["Bicubic"] + 0.3

    with av.open(str(folder / "upscaled.mp4")) as video, av.open(str(SAMPLE_CLIP)) as source:
        frames = list(video.decode(video=0))
        assert (len(frames), frames[0].width, frames[0].height) == (120, 640, 360)
        assert [s.type for s in video.streams] == [s.type for s in source.streams]
    assert open_package(folder / "student.vsrc").graph("fp32")[0].is_file()
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert re.search(rf"{STUDENT}, ort-\S+ \S+ \(graphs/.*onnx\), 160x90 \(WxH\) to 640x360", page)
    for label, value in said.items():
        assert label.strip() in page
        assert value.strip() in page


def test_training_and_judged_frames_are_apart(tmp_path: Path) -> None:
    material = prepare(tmp_path / "material")
    (training_clip,) = material.training_clips.iterdir()
    with av.open(str(training_clip)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(frames) == TRAINING_FRAMES < FIRST_JUDGED
    np.testing.assert_array_equal(np.stack(frames), material.hr[:TRAINING_FRAMES])
    with av.open(str(material.low)) as clip:
        low = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    np.testing.assert_array_equal(np.stack(low), material.lr)


def test_restoring_repeats_the_edges_of_the_shot(tiny_package: Path) -> None:
    session = open_package(tiny_package).session()
    lr = np.random.default_rng(0).integers(0, 256, (3, 9, 10, 3), dtype=np.uint8)
    sr = upscale_clip(session, lr)
    by_hand = [lr[[0, 0, 1]], lr[[0, 1, 2]], lr[[1, 2, 2]]]
    np.testing.assert_array_equal(sr, np.concatenate([session(w[None]) for w in by_hand]))


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(VsrcError, match=str(tmp_path)):
        demo(DemoConfig(output=tmp_path))
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_demo_that_is_killed_at_its_beginning_can_be_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "made"

    def stop(_folder: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("vsrc.demo.tour.prepare", stop)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            demo(DemoConfig(output=folder))
        assert [path.name for path in folder.iterdir()] == [MARKER]
        (folder / "old").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_the_folder_of_a_demo_is_never_without_its_marker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path) -> None:  # as SIGKILL would, right before the marker is written
        raise KeyboardInterrupt(str(path))

    monkeypatch.setattr(Path, "touch", stop)
    with pytest.raises(KeyboardInterrupt):
        demo(DemoConfig(output=tmp_path / "made"))
    assert not (tmp_path / "made").exists()
