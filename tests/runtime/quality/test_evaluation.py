from __future__ import annotations

import dataclasses
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from skimage.io import imsave

from support.recurrence import recurrence, slow_recurrence
from vsrc.cli import main
from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.errors import DataError, MismatchError
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import downscale, upscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.quality.degradation import WHOLE_FRAME
from vsrc.runtime.quality.eval_config import EvalConfig, EvalProgress
from vsrc.runtime.quality.eval_data import EvalClip, plan_lr
from vsrc.runtime.quality.eval_report import (
    ClipScore,
    EvalModel,
    EvalReport,
    EvalRow,
    eval_text,
    mean_values,
)
from vsrc.runtime.quality.evaluation import (
    METRIC_KINDS,
    bicubic,
    by_session,
    evaluate,
    score_upscaler,
)
from vsrc.runtime.quality.metrics import Psnr, Ssim
from vsrc.runtime.spec import spec_to_text

Frames = NDArray[np.uint8]
Write = Callable[..., Path]
Moving = Callable[..., Frames]

LOSSLESS: dict[str, Any] = {"codec": "ffv1", "pix_fmt": "bgr0"}
PSNR = {"psnr": METRIC_KINDS["psnr"]}


@pytest.fixture
def folder(tmp_path: Path, write_clip: Write, moving: Moving) -> Path:
    """Two lossless videos, 5 and 4 frames of 32 x 48."""
    (tmp_path / "data").mkdir()
    for count in (5, 4):
        frames = moving(count, seed=count)
        write_clip(tmp_path / "data" / f"{count}.mkv", frames, **LOSSLESS)
    return tmp_path / "data"


def clips_of(folder: Path, *, scale: int = 2, most: int = 0, **wanted: str) -> list[EvalClip]:
    layout = find_clips(folder)
    plan = plan_lr(layout, **{"wanted": "auto", "trained_for": "bi", **wanted}, scale=scale)  # type: ignore[arg-type]
    return [EvalClip(source, plan, most=most) for source in layout.clips]


@pytest.mark.slow
@pytest.mark.parametrize(("clip", "decibels"), [("calendar", 20.394), ("city", 25.165)])
def test_bicubic_on_vid4_is_what_the_field_reports(
    reference: Path, clip: str, decibels: float
) -> None:
    clips = clips_of(reference / "data" / "vid4" / clip, scale=4)
    row = score_upscaler(bicubic(4), clips, PSNR, border=0)
    assert row.mean["psnr_y"] == pytest.approx(decibels, abs=5e-4)
    assert row.clips[0].frames == {"calendar": 41, "city": 34}[clip]


def test_bicubic_is_the_first_row_and_models_follow_in_order(
    folder: Path, tiny_package: Path
) -> None:
    seen: list[EvalProgress] = []
    config = EvalConfig(models=(tiny_package, tiny_package), data=folder)
    report = evaluate(config, progress=seen.append)
    assert [row.label for row in report.rows] == ["bicubic", "student", "student"]
    assert [(each.clip, each.frames) for each in report.rows[1].clips] == [
        ("4.mkv", 4),
        ("5.mkv", 5),
    ]
    assert len(seen) == 3 * 9
    assert report.scale == 2


def test_scores_are_those_of_the_frames_one_by_one(folder: Path, moving: Moving) -> None:
    (row,) = (score_upscaler(bicubic(2), clips_of(folder)[:1], PSNR, border=3),)
    values = [psnr(upscale(downscale(f, 2), 2), f, border=3) for f in moving(4, seed=4)]
    assert row.clips[0].values["psnr_y"] == pytest.approx(np.mean(values), abs=1e-9)


def test_every_clip_counts_the_same_in_the_mean(folder: Path) -> None:
    row = score_upscaler(bicubic(2), clips_of(folder), PSNR, border=0)
    values = [each.values["psnr_y"] for each in row.clips]
    assert row.mean["psnr_y"] == pytest.approx(sum(v or 0 for v in values) / 2, abs=1e-12)


def test_a_network_is_fed_windows_with_repeated_edges(
    folder: Path, enlarger: Callable[..., Any]
) -> None:
    session = enlarger(scale=2, window=3)
    row = score_upscaler(by_session("net", session), clips_of(folder)[:1], PSNR, border=0)
    (clip,) = clips_of(folder)[:1]
    lr = list(clip.lr())
    windows = [(0, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 3)]
    for window, places in zip(session.fed, windows, strict=True):
        np.testing.assert_array_equal(window[0], np.stack([lr[place] for place in places]))
    truth = list(clip.truth())
    expected = np.mean(
        [psnr(f.repeat(2, 0).repeat(2, 1), t) for f, t in zip(lr, truth, strict=True)]
    )
    assert row.mean["psnr_y"] == pytest.approx(expected, abs=1e-9)


def test_windows_end_at_cuts(
    tmp_path: Path, write_clip: Write, moving: Moving, enlarger: Callable[..., Any]
) -> None:
    shots = [moving(3, 96, 128, seed=seed) for seed in (1, 2)]
    write_clip(tmp_path / "cut.mkv", np.concatenate(shots), **LOSSLESS)
    session = enlarger(scale=2, window=3)
    score_upscaler(by_session("net", session), clips_of(tmp_path), PSNR, border=0)
    np.testing.assert_array_equal(session.fed[2][0][1], session.fed[2][0][2])
    np.testing.assert_array_equal(session.fed[3][0][0], session.fed[3][0][1])


@pytest.mark.parametrize("count", [5, 4])
def test_a_network_that_doubles_the_rate_is_fed_every_second_frame(
    folder: Path, enlarger: Callable[..., Any], count: int
) -> None:
    (clip,) = [clip for clip in clips_of(folder) if clip.name == f"{count}.mkv"]
    session = enlarger(scale=2, window=2, time_scale=2)
    row = score_upscaler(by_session("net", session), [clip], PSNR, border=0)
    assert row.clips[0].frames == {5: 5, 4: 3}[count]
    lr = list(clip.lr())
    np.testing.assert_array_equal(session.fed[0][0], np.stack([lr[0], lr[2]]))


def test_most_frames_limit_a_clip(folder: Path) -> None:
    row = score_upscaler(bicubic(2), clips_of(folder, most=2), PSNR, border=0)
    assert [each.frames for each in row.clips] == [2, 2]


def test_hr_that_is_no_multiple_is_cropped(
    tmp_path: Path, write_clip: Write, moving: Moving
) -> None:
    write_clip(tmp_path / "odd.mkv", moving(2, 35, 50), **LOSSLESS)
    (clip,) = clips_of(tmp_path, scale=4)
    assert [frame.shape for frame in clip.truth()] == [(32, 48, 3)] * 2
    assert [frame.shape for frame in clip.lr()] == [(8, 12, 3)] * 2


class TestLr:
    @pytest.fixture
    def pairs(self, tmp_path: Path, write_clip: Write, moving: Moving) -> Callable[..., Path]:
        def make(*, frames: int = 3, height: int = 16, blurred: bool = False) -> Path:
            hr = moving(3, seed=0)
            lr = moving(frames, height, 24, seed=7)
            if blurred:
                planes = WHOLE_FRAME["bd"](hr.transpose(0, 3, 1, 2), 2)
                lr = planes.transpose(0, 2, 3, 1)
            for name, pictures in (("hr", hr), ("lr", lr)):
                (tmp_path / "pairs" / name).mkdir(parents=True)
                path = tmp_path / "pairs" / name / "a.mkv"
                write_clip(path, np.ascontiguousarray(pictures), **LOSSLESS)
            return tmp_path / "pairs"

        return make

    def test_twins_are_taken_where_there_are_any(
        self, pairs: Callable[..., Path], moving: Moving
    ) -> None:
        (clip,) = clips_of(pairs())
        np.testing.assert_array_equal(np.stack(list(clip.lr())), moving(3, 16, 24, seed=7))

    def test_a_named_degradation_makes_lr_anew(
        self, pairs: Callable[..., Path], moving: Moving
    ) -> None:
        (clip,) = clips_of(pairs(), wanted="bi")
        np.testing.assert_array_equal(np.stack(list(clip.lr())), downscale(moving(3, seed=0), 2))

    def test_without_twins_the_degradation_of_the_first_model_is_taken(
        self, folder: Path, moving: Moving
    ) -> None:
        clip = clips_of(folder, trained_for="bd")[0]
        planes = WHOLE_FRAME["bd"](moving(4, seed=4).transpose(0, 3, 1, 2), 2)
        np.testing.assert_array_equal(np.stack(list(clip.lr())), planes.transpose(0, 2, 3, 1))

    def test_given_without_twins_is_refused(self, folder: Path) -> None:
        with pytest.raises(DataError, match=r"4\.mkv .*'given'"):
            clips_of(folder, wanted="given")

    def test_twins_of_another_size_are_refused(self, pairs: Callable[..., Path]) -> None:
        layout = find_clips(pairs(height=18))
        plan = plan_lr(layout, wanted="bi", trained_for="bi", scale=2)
        (clip,) = (EvalClip(source, plan, most=0) for source in layout.clips)
        assert len(list(clip.lr())) == 3  # made anew: the twin is not looked at
        with pytest.raises(DataError, match=r"a\.mkv: .*48x32 .*24x18"):
            clips_of(layout.root)

    def test_lr_files_of_another_scale_are_left_for_lr_made_here(
        self, tmp_path: Path, moving: Moving, caplog: pytest.LogCaptureFixture
    ) -> None:
        hr = moving(3, seed=0)
        for place, frames in (
            ("train_sharp/000", hr),
            ("train_sharp_bicubic/X4/000", downscale(hr, 4)),
        ):
            (tmp_path / place).mkdir(parents=True)
            for at, frame in enumerate(frames):
                imsave(tmp_path / place / f"{at:08d}.png", frame, check_contrast=False)
        (clip,) = clips_of(tmp_path, scale=4)
        np.testing.assert_array_equal(np.stack(list(clip.lr())), downscale(hr, 4))
        assert not caplog.messages
        (clip,) = clips_of(tmp_path, scale=2)
        np.testing.assert_array_equal(np.stack(list(clip.lr())), downscale(hr, 2))
        assert "are not of scale=2" in caplog.text
        (clip,) = clips_of(tmp_path, scale=2, wanted="given")
        with pytest.raises(DataError, match="not a pair at scale=2"):
            list(clip.lr())

    def test_twins_of_another_length_are_refused(self, pairs: Callable[..., Path]) -> None:
        (clip,) = clips_of(pairs(frames=2))
        with pytest.raises(DataError, match=r"lr/a\.mkv .*hr/a\.mkv .*number"):
            list(clip.lr())

    def test_what_nameless_twins_look_like_is_said_and_warned_of(
        self, pairs: Callable[..., Path], tiny_package: Path
    ) -> None:
        report = evaluate(EvalConfig(models=(tiny_package,), data=pairs(blurred=True)))
        assert report.degradation == "LR files of the data set, which look like bd"
        (warning,) = report.warnings
        assert re.match("student .*bi, .*bd", warning)

    def test_twins_of_unknown_making_are_warned_of(
        self, pairs: Callable[..., Path], tiny_package: Path
    ) -> None:
        (warning,) = evaluate(EvalConfig(models=(tiny_package,), data=pairs())).warnings
        assert "unknown" in warning

    def test_lr_as_trained_brings_no_warning(self, folder: Path, tiny_package: Path) -> None:
        assert evaluate(EvalConfig(models=(tiny_package,), data=folder)).warnings == ()
        other = EvalConfig(models=(tiny_package,), data=folder, degradation="bd", frames=1)
        assert re.match("student .*bi, .*bd", evaluate(other).warnings[0])


def test_models_of_two_scales_are_refused(folder: Path, tiny_package: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.vsrc"
    shutil.copytree(tiny_package, other)
    spec = open_package(other).spec
    network = dataclasses.replace(spec.network, scale=4)
    (other / "model.json").write_text(spec_to_text(dataclasses.replace(spec, network=network)))
    with pytest.raises(MismatchError, match=r"student x2, other x4"):
        evaluate(EvalConfig(models=(tiny_package, other), data=folder))


def test_a_still_leaves_out_a_border_of_the_scale(reference: Path, tiny_package: Path) -> None:
    config = EvalConfig(
        models=(tiny_package,), data=reference / "data" / "set5_x4", degradation="bi"
    )
    report = evaluate(config)
    assert report.border_px == 2
    assert "2 pixels cropped at each edge" in report.protocol[1]


def test_equal_frames_have_no_psnr_and_small_ones_no_ssim() -> None:
    metric = Psnr(0)
    frame = np.zeros((4, 4, 3), np.uint8)
    metric.add(frame, frame)
    assert metric.result() == {"psnr_y": None, "psnr_rgb": None}
    likeness = Ssim(1)
    likeness.add(np.zeros((12, 30, 3), np.uint8), np.zeros((12, 30, 3), np.uint8))
    assert likeness.result() == {"ssim_y": None, "ssim_rgb": None}


def test_a_mean_with_an_unknown_part_is_unknown() -> None:
    assert mean_values([{"a": 1.0, "b": None}, {"a": 2.0, "b": 3.0}]) == {"a": 1.5, "b": None}


def test_text_shows_the_graph_each_clip_then_the_mean_then_the_protocol() -> None:
    rows = tuple(
        EvalRow(
            label,
            (ClipScore("a", 1, {"psnr_y": x}), ClipScore("b", 2, {"psnr_y": None})),
            {"psnr_y": None},
        )
        for label, x in (("bicubic", 20.0), ("net", 21.23456))
    )
    graph = GraphInUse("ort-cpu", "int8-cpu", "graphs/int8-cpu.onnx", "0" * 64)
    models = (EvalModel("net", graph),)
    text = eval_text(EvalReport(models, "d", "l", 4, "bi", 0, ("how",), (), rows))
    assert text.splitlines() == [
        "net  ort-cpu int8-cpu (graphs/int8-cpu.onnx)",
        "",
        "a (1 frame)         psnr_y",
        "bicubic             20.000",
        "net                 21.235",
        "",
        "b (2 frames)        psnr_y",
        "bicubic                  -",
        "net                      -",
        "",
        "mean of 2 clips     psnr_y",
        "bicubic                  -",
        "net                      -",
        "",
        "how",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metrics": ("psnr", "mse")}, "metrics='psnr,mse'; .*psnr, ssim, lpips"),
        ({"metrics": ()}, "metrics=''; .*psnr"),
        ({"border": -1}, "border=-1 "),
        ({"frames": -1}, "^frames=-1 .*threads=0 "),
    ],
)
def test_impossible_settings_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvalConfig(data=Path("x"), **options)


def test_the_command_prints_json_and_warnings_apart(folder: Path, tiny_package: Path) -> None:
    arguments = ["eval", str(tiny_package), "--data", str(folder), "--metrics", "psnr"]
    result = CliRunner().invoke(main, [*arguments, "--degradation", "bd", "--json"])
    assert result.exit_code == 0
    assert [row["label"] for row in json.loads(result.stdout)["rows"]] == [
        "bicubic",
        "student",
    ]
    assert "warning: student " in result.stderr
    table = CliRunner().invoke(main, arguments)
    assert "mean of 2 clips" in table.stdout


def test_the_command_says_what_lpips_lacks(folder: Path, tiny_package: Path) -> None:
    arguments = ["eval", str(tiny_package), "--data", str(folder), "--metrics", "lpips"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 3
    assert "vgg16-397923af.pth" in result.stderr


def test_the_command_says_what_a_folder_without_videos_lacks(
    tmp_path: Path, tiny_package: Path
) -> None:
    result = CliRunner().invoke(main, ["eval", str(tiny_package), "--data", str(tmp_path)])
    assert result.exit_code == 1
    assert "mp4" in result.stderr


def test_a_state_is_carried_over_a_clip_and_no_further(folder: Path) -> None:
    layout = find_clips(folder)
    plan = plan_lr(layout, wanted="bi", trained_for="bi", scale=2)
    upscaler = by_session("recurrence", recurrence())
    for source in layout.clips:
        clip = EvalClip(source, plan, most=0)
        lr = np.stack(list(clip.lr()))
        found = np.stack(list(upscaler.upscale_clip(clip)))
        np.testing.assert_array_equal(found, slow_recurrence(lr))
