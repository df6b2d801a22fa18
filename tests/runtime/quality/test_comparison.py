from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from vsrc.cli import main
from vsrc.runtime.decode.clip_source import ClipSource
from vsrc.runtime.decode.clips.clip_frames import ClipFrames
from vsrc.runtime.errors import MediaError, MismatchError, VsrcError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.picture.likeness import luma
from vsrc.runtime.quality.compare_config import CompareConfig, CompareProgress
from vsrc.runtime.quality.compare_report import Compared, Comparison, comparison_text
from vsrc.runtime.quality.comparison import compare
from vsrc.runtime.report.before_after import png_bytes

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "page.html"


def damaged(frames: Frames, seed: int, spread: int) -> Frames:
    noise = np.random.default_rng(seed).integers(-spread, spread + 1, frames.shape)
    noisy: Frames = np.clip(frames + noise, 0, 255).astype(np.uint8)
    return noisy


@pytest.mark.parametrize("kind", ["clips", "pictures"])
def test_a_page_begins_with_its_subject_verdict_and_machine(
    kind: str, lossless: Make, moving: Make, output: Path, tmp_path: Path
) -> None:
    truth = moving(1)
    made = {"bad": damaged(truth, 2, 30), "good": damaged(truth, 1, 4), "hr": truth}
    if kind == "clips":
        sources = [lossless(name, frames) for name, frames in made.items()]
    else:
        sources = [tmp_path / f"{name}.png" for name in made]
        for path, frames in zip(sources, made.values(), strict=True):
            path.write_bytes(png_bytes(frames[0]))
    compare(CompareConfig(sources[0], sources[1], sources[2], output))
    head, _, _ = output.read_text().partition("<main>")
    names = "Comparison of " + " and ".join(path.name for path in sources[:2])
    words = (f"<h1>{names}", f"{sources[1].name} is ", f"Machine: {this_machine()}<")
    places = [head.find(each) for each in words]
    assert -1 < places[0] < places[1] < places[2]
    assert kind == "pictures" or "1 frame from 0 s." in head


def test_scores_are_those_of_another_library(lossless: Make, moving: Make, output: Path) -> None:
    truth = moving(6)
    good, bad = damaged(truth, 1, 4), damaged(truth, 2, 30)
    found = compare(
        CompareConfig(
            lossless("bad", bad), lossless("good", good), lossless("hr", truth), output, border=2
        )
    )
    assert [source.label for source in found.sources] == ["bad.mkv", "good.mkv", "hr.mkv"]
    for source, frames in zip(found.sources, (bad, good), strict=False):
        for index in range(6):
            a, b = (luma(item[index])[2:-2, 2:-2] for item in (frames, truth))
            expected = peak_signal_noise_ratio(b, a, data_range=255)  # type: ignore[no-untyped-call]
            assert source.psnr_y_db[index] == pytest.approx(expected)
            whole = structural_similarity(  # type: ignore[no-untyped-call]
                b, a, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False,
                win_size=11, full=True,
            )[1]  # fmt: skip
            assert source.ssim_y[index] == pytest.approx(whole[5:-5, 5:-5].mean(), abs=1e-6)
    assert found.sources[2].psnr_y_db == ()
    text = output.read_text(encoding="utf-8")
    assert found.sources[0].psnr_text in text
    assert "2 pixels cropped" in text


def test_the_worst_frame_is_named(lossless: Make, moving: Make, output: Path) -> None:
    truth = moving(8)
    right = truth.copy()
    right[5] = damaged(truth, 1, 20)[5]
    left = damaged(truth, 2, 3)
    config = CompareConfig(
        lossless("left", left), lossless("right", right), lossless("hr", truth), output
    )
    source = compare(config).sources[1]
    assert [value is None for value in source.psnr_y_db] == [index != 5 for index in range(8)]
    assert source.cells()[3].endswith(", frame 6")


def test_start_and_frames_choose_what_is_compared(
    lossless: Make, moving: Make, output: Path
) -> None:
    truth = moving(20)
    right = truth.copy()
    right[10] = 0
    left, right, hr = (
        lossless("l", damaged(truth, 1, 5)),
        lossless("r", right),
        lossless("t", truth),
    )
    # At 25 frames a second frame 8 is the first at or after 0.3 s (frame 7 is shown at 0.28 s).
    found = compare(CompareConfig(left, right, hr, output, start=0.3, frames=5))
    assert found.frames == 5
    assert [value is None for value in found.sources[1].psnr_y_db] == [
        True,
        True,
        False,
        True,
        True,
    ]


def test_the_shortest_source_ends_it(lossless: Make, moving: Make, output: Path) -> None:
    left, right = lossless("l", moving(9)), lossless("r", moving(5, seed=1))
    told: list[CompareProgress] = []
    found = compare(CompareConfig(left, right, output=output), progress=told.append)
    assert found.frames == 5
    assert told[-1] == CompareProgress(5, 60)
    assert all(source.psnr_y_db == () for source in found.sources)


def test_a_source_of_another_size_is_shown_and_not_scored(
    lossless: Make, moving: Make, output: Path
) -> None:
    truth = moving(3, 32, 48)
    low = lossless("low", truth[:, ::2, ::2])
    found = compare(CompareConfig(low, lossless("sr", truth), lossless("hr", truth), output))
    assert found.sources[0].psnr_y_db == ()
    assert found.sources[0].detail == "24x16 (WxH)"
    assert found.sources[1].psnr_y_db == (None,) * 3
    assert "PSNR-Y no difference" in comparison_text(found)
    assert "frame 1" not in comparison_text(found)


def test_frames_too_small_for_ssim_have_a_psnr(lossless: Make, moving: Make, output: Path) -> None:
    frames = moving(2, 10, 24)
    left, right = lossless("l", damaged(frames, 1, 9)), lossless("r", damaged(frames, 2, 9))
    found = compare(CompareConfig(left, right, lossless("t", frames), output))
    assert len(found.sources[0].psnr_y_db) == 2
    assert found.sources[0].ssim_y == ()
    assert found.sources[0].cells()[2] == "-"


def test_pictures_are_compared_as_pictures(tmp_path: Path, moving: Make, output: Path) -> None:
    truth = moving(1)
    for name, frames in (("a", damaged(truth, 1, 9)), ("b", damaged(truth, 2, 3)), ("t", truth)):
        (tmp_path / f"{name}.png").write_bytes(png_bytes(frames[0]))
    files = [tmp_path / f"{name}.png" for name in "abt"]
    found = compare(CompareConfig(files[0], files[1], files[2], output))
    expected = peak_signal_noise_ratio(  # type: ignore[no-untyped-call]
        luma(truth[0]), luma(damaged(truth, 1, 9)[0]), data_range=255
    )
    assert list(found.sources[0].psnr_y_db) == pytest.approx([expected])
    assert "<video" not in output.read_text(encoding="utf-8")


def test_frames_shown_at_other_times_are_refused(
    lossless: Make, moving: Make, output: Path
) -> None:
    left = lossless("l", moving(6), time_base=Fraction(1, 25))
    right = lossless("r", moving(6), pts=[0, 1, 2, 5, 6, 7], time_base=Fraction(1, 25))
    with pytest.raises(MismatchError, match=r"frame 4 .*0\.120 s .*0\.200 s"):
        compare(CompareConfig(left, right, output=output))
    assert not output.exists()


def test_a_picture_and_a_video_are_refused(
    tmp_path: Path, clip: Path, moving: Make, output: Path
) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(png_bytes(moving(1)[0]))
    with pytest.raises(MismatchError, match=r"a\.png, clip\.mp4: "):
        compare(CompareConfig(picture, clip, output=output))


def test_a_file_and_itself_are_refused(clip: Path, output: Path) -> None:
    with pytest.raises(ValueError, match=r"clip\.mp4 .*itself"):
        compare(CompareConfig(clip, clip.parent / "." / clip.name, output=output))


def test_a_start_behind_the_end_is_refused(lossless: Make, moving: Make, output: Path) -> None:
    left, right = lossless("l", moving(4)), lossless("r", moving(4, seed=1))
    with pytest.raises(MediaError, match="9 s "):
        compare(CompareConfig(left, right, output=output, start=9.0))


def test_a_page_that_exists_stays(lossless: Make, moving: Make, output: Path) -> None:
    left, right = lossless("l", moving(2)), lossless("r", moving(2, seed=1))
    output.write_text("mine")
    with pytest.raises(VsrcError, match="--overwrite"):
        compare(CompareConfig(left, right, output=output))
    assert output.read_text() == "mine"
    compare(CompareConfig(left, right, output=output, overwrite=True))
    assert output.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_files_of_one_name_are_told_apart_by_their_folders(
    tmp_path: Path, write_clip: Make, moving: Make, output: Path
) -> None:
    paths = []
    for index, name in enumerate(("old", "new")):
        (tmp_path / name).mkdir()
        paths.append(write_clip(tmp_path / name / "a.mp4", moving(2, seed=index)))
    found = compare(CompareConfig(paths[0], paths[1], output=output))
    assert [source.label for source in found.sources] == ["old/a.mp4", "new/a.mp4"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": -1.0}, "0 or more"),
        ({"start": float("nan")}, "0 or more"),
        ({"frames": 0}, "at least 1"),
        ({"border": -1}, "border=-1 "),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompareConfig(Path("a"), Path("b"), **options)


def test_text_has_a_line_for_each_source() -> None:
    left = Compared("left.mp4", "left.mp4", 64, 48, (30.0, 34.0), (0.9, 0.92))
    right = Compared("r.mp4", "r.mp4", 64, 48)
    text = comparison_text(Comparison("page.html", 2, 0, (left, right)))
    assert text.splitlines() == [
        "left.mp4  64x48 (WxH)  PSNR-Y 32.00 dB  SSIM-Y 0.9100  lowest 30.00 dB, frame 1",
        "r.mp4     64x48 (WxH)",
        "page.html",
    ]


def test_the_command_says_what_it_found(lossless: Make, moving: Make, output: Path) -> None:
    frames = moving(3)
    arguments = [
        "compare",
        str(lossless("l", damaged(frames, 1, 9))),
        str(lossless("r", frames)),
        str(lossless("t", frames)),
        *("-o", str(output), "--json"),
    ]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["frames"] == 3
    assert found["sources"][1]["psnr_y_db"] == [None] * 3
    assert CliRunner().invoke(main, arguments).exit_code == 0  # the page is its own
    other = [*arguments, "--border", "1"]
    assert CliRunner().invoke(main, other).exit_code == 2
    assert CliRunner().invoke(main, [*other, "--overwrite"]).exit_code == 0


def test_without_a_reference_there_is_no_curve(lossless: Make, moving: Make, output: Path) -> None:
    left, right = lossless("l", moving(3)), lossless("r", moving(3, seed=1))
    compare(CompareConfig(left, right, output=output))
    assert 'class="frames"' not in output.read_text(encoding="utf-8")


@pytest.fixture
def lying(tmp_path: Path, write_clip: Make, moving: Make, ffmpeg: Make) -> tuple[Path, Path]:
    """A clip that a display matrix turns, and the same made upright by ffmpeg."""
    paths = tmp_path / "lying.mov", tmp_path / "upright.mov"
    write_clip(paths[0], moving(3), codec="png", pix_fmt="rgb24", rotation=90)
    ffmpeg("-i", paths[0], "-c:v", "png", paths[1])
    return paths


def test_a_rotated_video_is_compared_and_shown_upright(
    lying: tuple[Path, Path], lossless: Make, moving: Make, output: Path
) -> None:
    other = lossless("other", damaged(np.rot90(moving(3), axes=(1, 2)), 1, 9))
    found = compare(CompareConfig(lying[0], other, lying[1], output))
    assert [(source.width_px, source.height_px) for source in found.sources] == [(32, 48)] * 3
    assert len(found.sources[0].psnr_y_db) == 3
    assert set(found.sources[0].psnr_y_db) == {None}  # no difference from the upright reference
    videos = re.findall(r"data:video/mp4;base64,([A-Za-z0-9+/=]+)", output.read_text())
    assert len(videos) == 3
    for data in videos:
        with av.open(io.BytesIO(base64.b64decode(data)), "r") as container:
            first = next(container.decode(video=0))
            assert (first.width, first.height) == (32, 48)


def test_clips_for_training_and_evaluation_are_upright(lying: tuple[Path, Path]) -> None:
    clips = [ClipFrames(ClipSource(path.name, (path,))) for path in lying]
    turned, upright = (list(clip) for clip in clips)
    assert np.array_equal(turned, upright)
    assert clips[0].estimate() == (3, 48, 32)


@pytest.mark.parametrize("name", ["page.pdf", "page", "page.html.png"])
def test_a_page_under_another_suffix_is_refused_before_the_work(tmp_path: Path, name: str) -> None:
    page = tmp_path / name
    sources = [str(tmp_path / "absent.mp4"), str(tmp_path / "absent2.mp4")]
    done = CliRunner().invoke(main, ["compare", *sources, "-o", str(page)])
    assert done.exit_code == 2
    assert f"write -o {page.with_suffix('.html')}" in done.output
    assert not page.exists()
