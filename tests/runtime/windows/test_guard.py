"""Frames that half precision corrupts are noticed, recomputed in fp32, and counted."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import numpy_helper

from vsrc.cli import main
from vsrc.export.graphs.half import to_half
from vsrc.runtime.encode import picture_writer, segment_encoder
from vsrc.runtime.errors import SpecError, StoppedError
from vsrc.runtime.jobs import unit
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress
from vsrc.runtime.package import describe_file, open_package, write_spec
from vsrc.runtime.picture.bicubic import imresize
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.spec import GraphSpec
from vsrc.runtime.windows import guard
from vsrc.runtime.windows.graph_io import from_graph
from vsrc.runtime.windows.guard import Guard, is_corrupted

Make = Callable[..., Any]


def scaled_up(model: onnx.ModelProto, factor: float) -> onnx.ModelProto:
    """The same function with larger features: ReLU lets a factor pass, the next two undo it.

    Two, because half precision has no room for weights that are so small.
    """
    rest = factor**0.5
    factors = {
        **{f"fusion.{part}": factor for part in ("weight", "bias")},
        "body.0.weight": 1 / rest,
        "body.0.bias": rest,
        "body.1.weight": 1 / rest,
    }
    for tensor in model.graph.initializer:
        name = tensor.name.removeprefix("network.")
        if name in factors:
            values = numpy_helper.to_array(tensor) * np.float32(factors[name])
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float32), tensor.name))
    return model


@pytest.fixture(scope="module")
def overflowing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The student that ships, with an fp16 graph whose features overflow on bright pictures."""
    path = tmp_path_factory.mktemp("overflow") / "student.vsrc"
    shutil.copytree(shipped("edge-s"), path)
    package = open_package(path)
    fp32, graph = package.graph("fp32")
    model = scaled_up(onnx.load(fp32), 8e4)
    assert to_half(model) > 10
    onnx.save(model, path / "graphs/fp16.onnx")
    entry = describe_file(path, "graphs/fp16.onnx")
    fp16 = replace(graph, **vars(entry), precision="fp16")
    assert isinstance(fp16, GraphSpec)
    write_spec(path, replace(package.spec, graphs={**package.spec.graphs, "fp16": fp16}))
    return path


@pytest.fixture(scope="module")
def lights(tmp_path_factory: pytest.TempPathFactory, write_clip: Make, moving: Make) -> Path:
    """Twelve frames; from the fourth to the sixth the light is on."""
    frames = moving(12) // 32
    frames[3:6] = moving(12)[3:6]
    return Path(write_clip(tmp_path_factory.mktemp("lights") / "lights.mp4", frames))


def decoded(path: Path) -> Pixels:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def run(package: Path, clip: Path, output: Path, *options: str) -> Any:  # noqa: ANN401
    asked = ["infer", str(clip), "-m", str(package), "-o", str(output), "--codec", "ffv1"]
    done = CliRunner().invoke(main, [*asked, "--threads", "1", *options])
    assert done.exit_code == 0, done.output
    return done


def test_frames_that_overflow_are_recomputed_in_fp32_and_counted(
    overflowing: Path, lights: Path, tmp_path: Path
) -> None:
    exact, found = tmp_path / "exact.mkv", tmp_path / "found.mkv"
    assert "recomputed" not in run(overflowing, lights, exact, "--precision", "fp32").stdout
    report = tmp_path / "report.json"
    done = run(overflowing, lights, found, "--precision", "fp16", "--report", str(report))
    package = open_package(overflowing)
    # Independent of the guard: what the fp16 graph makes of the same windows, all of one shot each.
    half, whole = package.session(precision="fp16"), package.session()
    corrupted = 0
    for start, stop in ((0, 3), (3, 6), (6, 12)):
        frames = decoded(lights)[start:stop]
        for at in range(len(frames)):
            window = frames[np.clip(np.arange(at - 2, at + 3), 0, len(frames) - 1)][None]
            corrupted += int(np.abs(half(window).astype(int) - whole(window)).max() > 100)
    assert corrupted == 3
    assert done.stdout.endswith("3 recomputed in fp32\n")
    first, second = decoded(exact).astype(int), decoded(found).astype(int)
    np.testing.assert_array_equal(first[3:6], second[3:6])
    # Elsewhere half precision is a level off here and there, which chroma of 4:2:0 spreads.
    assert np.abs(first - second).mean() < 0.5
    written = json.loads(report.read_text())
    assert (written["recomputed_frames"], written["files"][0]["recomputed_frames"]) == (3, 3)


def test_without_fp32_the_frames_stay_and_one_line_says_so(
    overflowing: Path, lights: Path, tmp_path: Path
) -> None:
    path = tmp_path / "student.vsrc"
    shutil.copytree(overflowing, path)
    package = open_package(path)
    write_spec(path, replace(package.spec, graphs={"fp16": package.spec.graphs["fp16"]}))
    done = run(path, lights, tmp_path / "found.mkv", "--precision", "fp16", "--batch", "4")
    assert done.stdout.endswith("3 left black or white\n")
    lines = [line for line in done.stderr.splitlines() if "black or white" in line]
    assert len(lines) == 1
    assert re.search(r"fp32 .*fp16\).* vsrc export", lines[0])
    assert (tmp_path / "found.mkv").stat().st_size > 0


@pytest.fixture(scope="module")
def two_lights(tmp_path_factory: pytest.TempPathFactory, write_clip: Make, moving: Make) -> Path:
    """Twenty-four frames; the light is on from the fourth to the sixth, and in the 21st."""
    frames = moving(24) // 32
    for lit in (slice(3, 6), slice(20, 21)):
        frames[lit] = moving(24)[lit]
    return Path(write_clip(tmp_path_factory.mktemp("lights") / "two.mp4", frames))


def test_what_the_shares_of_a_video_redid_is_summed_up(
    overflowing: Path, two_lights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    monkeypatch.setattr(unit, "LEAST_PIECE", 8)
    found, whole = tmp_path / "found.mkv", tmp_path / "whole.mkv"
    assert run(overflowing, two_lights, whole, "--precision", "fp16").stdout.endswith(
        "4 recomputed in fp32\n"
    )
    options = ("--precision", "fp16", "--shard")
    first = run(overflowing, two_lights, found, *options, "1/2")
    assert ", 3 recomputed in fp32; " in first.stderr
    again = run(overflowing, two_lights, found, *options, "1/2")  # of parts that are there
    assert ", 3 recomputed in fp32; " in again.stderr
    assert run(overflowing, two_lights, found, *options, "2/2").stdout.endswith(
        "4 recomputed in fp32\n"
    )
    assert found.read_bytes() == whole.read_bytes()
    there = run(overflowing, two_lights, found, *options, "2/2")
    assert "skipped" in there.stderr
    assert there.stdout.endswith("4 recomputed in fp32\n")


@pytest.mark.parametrize("output", ["found.mkv", "found/%08d.png"])
def test_what_was_recomputed_before_a_stop_counts_too(
    overflowing: Path,
    two_lights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    output: str,
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    monkeypatch.setattr(picture_writer, "_SEGMENT_FRAMES", 8)
    config = InferConfig(
        (two_lights,), tmp_path / output, model=overflowing, precision="fp16", codec="ffv1"
    )

    def stop(progress: InferProgress) -> None:
        if progress.done == 20:
            raise KeyboardInterrupt

    with pytest.raises(StoppedError):
        infer(config, progress=stop)
    (file,) = infer(config).files
    assert (file.frames, file.recomputed_frames, file.corrupted_frames) == (24, 4, 0)


def enlarged(lr: Pixels, scale: int = 4) -> Pixels:
    return lr.repeat(scale, 0).repeat(scale, 1)


def grey(level: int = 120, size: tuple[int, int] = (12, 16)) -> Pixels:
    return np.full((*size, 3), level, np.uint8)


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("channels", [slice(None), slice(1, 2)])
def test_a_place_at_a_bound_is_corrupted_where_the_input_is_not(
    level: int, channels: slice
) -> None:
    sr = enlarged(grey())
    assert not is_corrupted(sr, [grey()])
    sr[20:32, 24:36, channels] = level  # three by three LR pixels
    assert is_corrupted(sr, [grey()])
    deep = sr.astype(np.uint16) * 257
    assert is_corrupted(deep, [grey().astype(np.uint16) * 257])
    sr[20, 24, channels] = 128
    assert not is_corrupted(sr, [grey()])


def test_what_is_black_or_white_in_the_input_is_not_corrupted() -> None:
    lr = grey()
    lr[:4], lr[8:] = 0, 255
    assert not is_corrupted(enlarged(lr), [lr])
    assert not is_corrupted(enlarged(np.zeros_like(lr)), [np.zeros_like(lr)])
    near = np.where(lr == 0, 30, np.where(lr == 255, 225, lr)).astype(np.uint8)
    assert not is_corrupted(enlarged(lr), [near])


@pytest.mark.parametrize("samples", [1, 20, 1 << 16])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_bands_of_rows_hide_no_place(
    samples: int, kind: type[np.unsignedinteger[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "_BAND_SAMPLES", samples)
    draw, white = np.random.default_rng(samples), int(np.iinfo(kind).max)
    verdicts = set()
    for _ in range(60):
        height, width, scale = (int(side) for side in draw.integers((3, 3, 1), (12, 12, 5)))
        lr = draw.integers(0, white + 1, (height, width, 3)).astype(kind)
        sr = lr.repeat(scale, 0).repeat(scale, 1)
        y, x, channel = (int(at) for at in draw.integers(0, (height, width, 3)))
        size = 3 * scale + int(draw.integers(-1, 2))
        bound = white * int(draw.integers(2))
        sr[y * scale : y * scale + size, x * scale : x * scale + size, channel] = bound
        verdict = is_corrupted(sr, [lr])
        assert verdict == slowly_corrupted(sr, lr, scale)
        verdicts.add(verdict)
    assert verdicts == {True, False}


def slowly_corrupted(sr: Pixels, lr: Pixels, scale: int) -> bool:
    """Look at every place of 3x3 LR pixels, one after the other."""
    height, width, _ = lr.shape
    white = int(np.iinfo(sr.dtype).max)
    away = int(32 / 255 * white)
    for y, x, channel in np.ndindex(height - 2, width - 2, 3):
        seen = lr[y : y + 3, x : x + 3, channel]
        made = sr[y * scale : (y + 3) * scale, x * scale : (x + 3) * scale, channel]
        black = (made == 0).all() and (seen > away).all()
        if black or ((made == white).all() and (seen < white - away).all()):
            return True
    return False


def test_lines_and_checks_that_the_input_hides_are_not_corrupted() -> None:
    sr = enlarged(grey(255))
    for at in range(0, sr.shape[0], 8):
        sr[at : at + 4] = 0  # black lines as wide as an LR pixel, and as far apart
    lr = sr.reshape(12, 4, 16, 4, 3).mean((1, 3)).astype(np.uint8)
    assert not is_corrupted(sr, [lr])
    assert not is_corrupted(sr, [grey(128)])  # as if the input had blurred them all away


def test_tiny_pictures_are_never_corrupted() -> None:
    assert not is_corrupted(np.zeros((8, 8, 3), np.uint8), [grey(size=(2, 2))])


def test_between_two_frames_a_change_of_light_is_not_corrupted() -> None:
    dark, bright = grey(0), grey(200)
    assert not is_corrupted(enlarged(dark), [dark, bright])
    assert is_corrupted(enlarged(dark), [bright, bright])


def test_real_clips_are_not_suspected(clips: Path) -> None:
    """The best result there can be, the original itself, beside what it is reduced to."""
    looked = 0
    found = [path for path in sorted(clips.rglob("*")) if path.suffix in (".mp4", ".mpg")]
    for path in found[:: max(1, len(found) // 8)]:
        with av.open(str(path)) as container:
            for frame, _ in zip(container.decode(video=0), range(2), strict=False):
                rgb = np.asarray(frame.to_ndarray(format="rgb24"), dtype=np.uint8)
                hr = rgb[: rgb.shape[0] // 4 * 4, : rgb.shape[1] // 4 * 4]
                assert not is_corrupted(hr, [imresize(hr, numerator=1, denominator=4)]), path.name
                looked += 1
    assert looked > 10


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_what_is_not_a_number_becomes_black_not_chance(kind: type[np.unsignedinteger[Any]]) -> None:
    spec = open_package(shipped("edge-s")).spec
    graph = replace(spec.graphs["fp32"], io="float", height=(1, 9), width=(1, 9))
    like = np.zeros((1, 3, 1, 1, 3), kind)
    levels = np.repeat(np.array([np.nan, np.inf, -np.inf, 0.5], np.float16), 4)
    sr = levels.reshape(1, 1, 4, 4).repeat(3, 1)
    white = int(np.iinfo(kind).max)
    found = from_graph(sr, spec.network, graph, like=like)[0, :, :, 0]
    assert found.tolist() == [[level] * 4 for level in (0, white, 0, white // 2 + 1)]


def test_fp32_is_opened_once_and_only_when_it_is_needed(enlarger: Any) -> None:  # noqa: ANN401
    opened = []

    def exact() -> Any:  # noqa: ANN401
        opened.append(1)
        return enlarger(scale=4)

    guard = Guard(exact)
    lr = np.stack([grey(), grey(100), grey()])
    good = enlarged(lr[1])[None]
    assert guard.check(lr, (0, 1, 2), good, [0]).pictures is good
    assert not opened
    for _ in range(2):
        guarded = guard.check(lr, (0, 1, 2), good * 0, [0])
        np.testing.assert_array_equal(guarded.pictures, good)
        assert (set(guarded.recomputed_indices), set(guarded.corrupted_indices)) == ({0}, set())
    unused = guard.check(lr, (0, 1, 2), good * 0, [])
    np.testing.assert_array_equal(unused.pictures, good * 0)
    assert not unused.recomputed_indices
    assert len(opened) == 1


def test_where_fp32_cannot_be_opened_it_is_tried_once() -> None:
    tried = []

    def exact() -> Any:  # noqa: ANN401
        tried.append(1)
        raise SpecError("there is none")

    guard = Guard(exact)
    black = np.zeros((1, 48, 64, 3), np.uint8)
    for _ in range(3):
        guarded = guard.check(grey()[None], (0,), black, [0])
        assert guarded.pictures is black
        assert (set(guarded.recomputed_indices), set(guarded.corrupted_indices)) == (set(), {0})
    assert len(tried) == 1
    assert len(guard.notes) == 1
    assert guard.notes[0].endswith(": there is none")
