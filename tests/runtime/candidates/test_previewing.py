from __future__ import annotations

import base64
import io
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner

from support.optional import skip_without
from vsrc.cli import main
from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.candidates.lanczos import LanczosSession
from vsrc.runtime.candidates.page_frames import choose_cut
from vsrc.runtime.candidates.preview_config import PreviewConfig, PreviewProgress
from vsrc.runtime.candidates.preview_result import (
    Preview,
    PreviewCandidate,
    steady_fps,
    whole_seconds,
)
from vsrc.runtime.candidates.previewing import preview
from vsrc.runtime.errors import MediaError, OutputError, SpecError, StoppedError
from vsrc.runtime.jobs.result import FileResult

Make = Callable[..., Any]


def frames_on(page: Path) -> list[tuple[int, int, int]]:
    """Number, width and height of the frames of each clip that a page holds."""
    found = []
    text = page.read_text(encoding="utf-8")
    for data in re.findall(r"data:video/mp4;base64,([^\"]+)", text):
        with av.open(io.BytesIO(base64.b64decode(data)), "r") as container:
            frames = list(container.decode(video=0))
        found.append((len(frames), frames[0].width, frames[0].height))
    return found


@pytest.fixture
def models(tiny_package: Path, tmp_path: Path) -> tuple[Path, Path]:
    """Two packages with other names and the same network, x2."""
    paths = tmp_path / "first.vsrc", tmp_path / "second.vsrc"
    for path in paths:
        shutil.copytree(tiny_package, path)
    return paths


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lanczos_is_that_of_another_library(scale: int, moving: Make) -> None:
    skip_without("PIL")
    from PIL import Image

    (frame,) = moving(1)
    height, width = frame.shape[:2]
    size = (width * scale, height * scale)
    expected = np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS), int)
    (result,) = LanczosSession(scale)(frame[None, None])
    difference = np.abs(result - expected)
    # swscale rounds between its two passes; Pillow and it treat the outermost pixels differently.
    assert np.percentile(difference, 99) <= 4
    assert difference.mean() < 0.6


def test_page_shows_the_middle_through_each_model(
    lossless: Make, moving: Make, models: tuple[Path, Path], tmp_path: Path
) -> None:
    video = lossless("clip", moving(30))
    page = tmp_path / "page.html"
    seen: list[PreviewProgress] = []
    config = PreviewConfig(video, models=models, output=page, seconds=0.2, threads=1)
    result = preview(config, progress=seen.append)
    assert (result.start, result.frames, result.whole_frames) == (0.5, 5, 30)
    assert [candidate.label for candidate in result.candidates] == ["Lanczos", "first", "second"]
    assert frames_on(page) == [(5, 96, 64)] * 3 + [(5, 48, 32)]
    assert {(now.index, now.label) for now in seen} == {(1, "Lanczos"), (2, "first"), (3, "second")}
    assert max(now.done for now in seen) == 5
    text = page.read_text(encoding="utf-8")
    for candidate in result.candidates:
        assert candidate.whole_seconds is not None
        assert candidate.whole_bytes is not None
        assert candidate.command.split()[0] in ("ffmpeg", "vsrc")
    assert "30 frames" in text
    assert result.advice[1:] in text


def test_short_video_is_taken_whole(
    lossless: Make, moving: Make, models: tuple[Path, Path], tmp_path: Path
) -> None:
    video = lossless("clip", moving(4))
    page = tmp_path / "page.html"
    result = preview(PreviewConfig(video, models=models[:1], output=page, threads=1))
    assert (result.start, result.frames) == (0.0, 4)
    assert frames_on(page) == [(4, 96, 64)] * 2 + [(4, 48, 32)]


def test_time_of_the_whole_is_that_of_the_start_and_of_each_further_frame() -> None:
    graph = GraphInUse("ort-cpu", "fp32", "graphs/fp32.onnx", "0" * 64)
    run = FileResult(
        "a", "b", frames=11, shots=1, seconds=7.0, first_frame_seconds=2.0, fps=11 / 7,
        runs="ort-cpu fp32", model="edge-s", graph=graph, notes=(),
    )  # fmt: skip
    assert steady_fps(run) == 2.0
    assert whole_seconds(run, 11) == 7.0
    assert whole_seconds(run, 1001) == 2.0 + 1000 / 2


def test_large_results_are_cropped_on_the_page() -> None:
    assert choose_cut(3840, 2160).is_whole
    assert choose_cut(7680, 4320).of(1920, 1080) == (960, 540)
    assert choose_cut(4320, 7680).of(4320, 7680) == (2160, 3840)


def test_stopped_run_leaves_a_page_of_what_was_finished(
    lossless: Make, moving: Make, models: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    config = PreviewConfig(lossless("clip", moving(4)), models=models, output=page, threads=1)

    def stop_at(index: int) -> Callable[[PreviewProgress], None]:
        def stop(now: PreviewProgress) -> None:
            if now.index == index and now.done == 2:
                raise KeyboardInterrupt

        return stop

    with pytest.raises(StoppedError, match="nothing was saved"):
        preview(config, progress=stop_at(1))
    assert not page.exists()
    with pytest.raises(StoppedError, match="Lanczos, first") as stopped:
        preview(config, progress=stop_at(3))
    assert stopped.value.exit_status == 130
    assert frames_on(page) == [(4, 96, 64)] * 2 + [(4, 48, 32)]
    assert "2 of 3 candidates" in page.read_text(encoding="utf-8")
    preview(config)  # the same command replaces its page
    assert len(frames_on(page)) == 4


def test_page_of_something_else_is_not_replaced(
    lossless: Make, moving: Make, models: tuple[Path, Path], tmp_path: Path
) -> None:
    page = tmp_path / "page.html"
    page.write_text("mine")
    video = lossless("clip", moving(2))
    with pytest.raises(OutputError, match="--overwrite"):
        preview(PreviewConfig(video, models=models[:1], output=page))
    with pytest.raises(OutputError):
        preview(PreviewConfig(video, models=models[:1], output=video, overwrite=True))
    assert page.read_text() == "mine"


def test_what_infer_refuses_is_refused(
    write_clip: Make, moving: Make, models: tuple[Path, Path], tmp_path: Path
) -> None:
    # BT.2020, PQ: HDR.
    hdr = write_clip(tmp_path / "hdr.mkv", moving(2), codec="ffv1", colour=(9, 16, 9, 1))
    page = tmp_path / "page.html"
    with pytest.raises(MediaError, match="--allow-hdr"):
        preview(PreviewConfig(hdr, models=models[:1], output=page))
    with pytest.raises(SpecError, match="exist"):
        preview(PreviewConfig(hdr, models=(tmp_path / "no.vsrc",), output=page))
    with pytest.raises(ValueError, match="pipe"):
        preview(PreviewConfig("-", models=models[:1], output=page))
    with pytest.raises(ValueError, match="twice"):
        preview(PreviewConfig(hdr, models=models[:1] * 2, output=page))
    assert not page.exists()


def test_command_prints_a_row_for_each_candidate(
    lossless: Make, moving: Make, models: tuple[Path, Path], tmp_path: Path
) -> None:
    video, page = lossless("clip", moving(3)), tmp_path / "page.html"
    words = ["preview", str(video), "-m", str(models[0]), "-o", str(page), "--threads", "1"]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    rows = done.stdout.splitlines()
    assert [row.split()[0] for row in rows[1:3]] == ["Lanczos", "first"]
    assert rows[-1] == str(page)
    done = CliRunner().invoke(main, [*words, "--json"])
    report = json.loads(done.stdout)
    assert [item["model"] for item in report["candidates"]] == [None, str(models[0])]
    assert report["candidates"][1]["command"].startswith(f"vsrc infer {video} -m {models[0]}")


def test_names_make_no_line_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = "a\nvsrc: done\x1b[2J"
    candidate = PreviewCandidate(foreign, foreign, foreign, 2, 1.0, 2.0, 3.0, 4, foreign)
    found = Preview(foreign, foreign, 0.0, 2, 2, foreign, foreign, (candidate,), 1)
    monkeypatch.setattr("vsrc.runtime.candidates.previewing.preview", lambda *_, **__: found)
    done = CliRunner().invoke(main, ["preview", "sample", "-m", "edge-s", "-o", "x.html"])
    assert done.exit_code == 0, done.output
    assert len(done.stdout.splitlines()) == 4  # the titles, the candidate, the advice, the page
    assert "\x1b" not in done.stdout
    done = CliRunner().invoke(main, ["preview", "sample", "-m", "edge-s", "-o", "x.html", "--json"])
    assert json.loads(done.stdout)["page"] == foreign
