"""Engines of a package: which of them runs here, and a video through them.

The engines are built for real, by NVIDIA's builder for RTX, which needs no GPU; running them does.
So the device is said to be there, and where one is computed on, a stand-in takes the place of both
the device and the loaded engine (reordering_gpu.py). test_trt_session.py runs the real ones.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from support.decoded import frames_of
from support.reordering_gpu import ADA, ReorderingGpu
from vsrc.cli import main
from vsrc.runtime.backends.device import engines, trt_engine
from vsrc.runtime.backends.device.engine_file import engine_text, read_engine_spec
from vsrc.runtime.backends.device.engines import Here, find_engines, open_engines
from vsrc.runtime.errors import DeviceMemoryError, MissingDependencyError
from vsrc.runtime.package import open_package

trt_rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

Make = Callable[..., Any]
HERE = Here("trt-rtx", trt_rtx.__version__, ADA)


@pytest.fixture
def copy(built: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "student.vsrc"))


def found_for(package: Path, here: Here = HERE, name: str = "fp32") -> tuple[list[Any], list[str]]:
    reasons: list[str] = []
    return find_engines(open_package(package), name, here, reasons), reasons


def test_engines_say_which_frames_they_take(built: Path) -> None:
    for name in ("fp32", "encode-fp32", "fuse-fp32"):
        found, reasons = found_for(built, name=name)
        sizes = sorted((one.graph.height, one.graph.width) for one in found)
        assert sizes == [((16, 64), (16, 96)), ((24, 24), (32, 32))]
        assert reasons == []
    assert found_for(built, name="fp16") == ([], [])


def damaged(path: Path, what: str) -> None:
    for file in (path / "engines").glob("trt-rtx-fp32-*.engine"):
        if what == "truncated":
            file.write_bytes(file.read_bytes()[:-1])
        elif what == "lossy":
            spec = replace(read_engine_spec(file), lossy=True)
            file.with_suffix(".json").write_text(engine_text(spec))
        else:
            file.with_suffix(".json").unlink()


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("truncated", "it is truncated or was changed"),
        ("lossy", "missed the PSNR limit of its precision"),
        ("no sidecar", "are unknown"),
    ],
)
def test_an_engine_that_cannot_be_trusted_is_skipped(copy: Path, what: str, words: str) -> None:
    damaged(copy, what)
    found, reasons = found_for(copy)
    assert found == []
    assert len(reasons) == 2
    assert all(words in reason for reason in reasons)


@pytest.mark.parametrize(
    ("here", "words"),
    [
        (replace(HERE, version="1.0.0"), "another version"),
        (
            replace(HERE, device=replace(ADA, compute_capability="7.0")),
            "another compute capabilities: 8.0, 8.6, 8.9, 12.0, 12.1, and here it is 7.0",
        ),
    ],
)
def test_an_engine_for_something_else_is_skipped(built: Path, here: Here, words: str) -> None:
    found, (reason, *_) = found_for(built, here)
    assert found == []
    assert words in reason


def test_an_engine_of_a_graph_that_was_exported_again_is_skipped(copy: Path) -> None:
    spec = json.loads((copy / "model.json").read_text())
    spec["graphs"]["fp32"]["sha256"] = "0" * 64
    (copy / "model.json").write_text(json.dumps(spec))
    found, (reason, *_) = found_for(copy)
    assert found == []
    assert "another graph sha256" in reason


def test_engines_that_do_not_run_here_are_status_3(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = open_package(built)
    with pytest.raises(MissingDependencyError, match=r"student\.vsrc .*trt .*--format trt "):
        open_engines(package, backend="trt")
    with pytest.raises(MissingDependencyError, match=r"no CUDA device|trt-rtx"):
        open_engines(package, backend="trt-rtx", precision="int8")
    # A device that is named but cannot be talked to: TensorRT itself says what is wrong.
    monkeypatch.setattr(engines, "cuda_device", lambda _: ADA)
    with pytest.raises(MissingDependencyError, match=r"load .*\.engine") as caught:
        open_engines(package, backend="trt-rtx", keeps_features=False)
    assert caught.value.exit_status == 3


def infer(clip: Path, package: Path, output: Path, *options: str) -> Result:
    asked = ["infer", str(clip), "-m", str(package), "-o", str(output), "--codec", "ffv1"]
    done = CliRunner().invoke(main, [*asked, "--threads", "1", *options])
    assert done.exit_code == 0, done.output
    return done


@pytest.mark.parametrize("has_halves", [True, False])
@pytest.mark.parametrize("options", [("--tile", "32"), ("--batch", "2")])
def test_a_video_goes_through_engines_as_through_the_cpu(
    copy: Path,
    clip: Path,
    tmp_path: Path,
    stand_in: Callable[[Path], list[ReorderingGpu]],
    options: tuple[str, ...],
    has_halves: bool,
) -> None:
    exact, found = tmp_path / "exact.mkv", tmp_path / "found.mkv"
    infer(clip, copy, exact, "--backend", "ort", "--frames", "9")
    if not has_halves:
        for file in (copy / "engines").glob("trt-rtx-encode-*"):
            file.unlink()
    gpus = stand_in(copy)
    done = infer(clip, copy, found, "--frames", "9", *options)
    assert "trt-rtx fp32 runs it; skipped: trt (student.vsrc holds no trt" in done.stderr
    assert "ort-cuda" not in done.stderr
    assert np.abs(frames_of(found).astype(int) - frames_of(exact)).max() <= 2
    (gpu,) = gpus
    assert "network" in gpu.done
    assert (gpu.held_bytes, gpu.handles) == (0, 0)


def test_frames_that_are_too_large_for_the_engine_are_fed_in_tiles(
    copy: Path,
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    stand_in: Callable[[Path], list[ReorderingGpu]],
) -> None:
    clip = write_clip(tmp_path / "large.mkv", moving(3, 104, 152), codec="ffv1")
    exact, found = tmp_path / "exact.mkv", tmp_path / "found.mkv"
    infer(clip, copy, exact, "--backend", "ort")
    stand_in(copy)
    done = infer(clip, copy, found, "--backend", "trt-rtx")
    assert re.search("trt-rtx fp32 takes at most 96x64: using tiles of 64 for 152x104", done.stderr)
    assert np.abs(frames_of(found).astype(int) - frames_of(exact)).max() <= 2


@pytest.mark.parametrize("short", ["encode", "fuse"])
def test_halves_that_do_not_fit_in_memory_give_way_to_smaller_ones(
    copy: Path,
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    stand_in: Callable[[Path], list[ReorderingGpu]],
    monkeypatch: pytest.MonkeyPatch,
    short: str,
) -> None:
    clip = write_clip(tmp_path / "in.mkv", moving(3, 40, 56), codec="ffv1")
    exact, found = tmp_path / "exact.mkv", tmp_path / "found.mkv"
    infer(clip, copy, exact, "--backend", "ort")
    stand_in(copy)
    make: Make = trt_engine.TrtEngine
    opened: list[Any] = []

    def engine(path: Path, backend: str) -> Any:  # noqa: ANN401
        target = read_engine_spec(path).target
        if target.graph.startswith(short) and len(next(iter(target.shapes.values()))) == 3:
            raise DeviceMemoryError("no memory")
        opened.append(make(path, backend))
        return opened[-1]

    monkeypatch.setattr(trt_engine, "TrtEngine", engine)
    done = infer(clip, copy, found, "--backend", "trt-rtx")
    assert "trt-rtx fp32 takes at most 32x24: using tiles of 24 for 56x40" in done.stderr
    # At the right edge tiles are padded to the only width that the engine takes.
    inside = np.s_[:, :, :96]
    assert np.abs(frames_of(found).astype(int) - frames_of(exact))[inside].max() <= 2
    assert len(opened) == 2 + (short == "fuse")
    assert all(each.closed for each in opened)


def test_what_has_more_than_8_bits_goes_through_an_engine_with_float_edges(
    copy: Path, tmp_path: Path, write_clip: Make, moving: Make, stand_in: Callable[..., Any]
) -> None:
    asked = ["export", str(copy), "--format", "trt-rtx", "--precision", "fp32", "--io", "float"]
    done = CliRunner().invoke(main, [*asked, "--shape", "16x16,32x48,64x96"])
    assert done.exit_code == 0, done.output
    clip = write_clip(tmp_path / "deep.mkv", moving(5), codec="ffv1", pix_fmt="yuv420p10le")
    exact, found = tmp_path / "exact.mkv", tmp_path / "found.mkv"
    infer(clip, copy, exact, "--backend", "ort")
    stand_in(copy)
    infer(clip, copy, found, "--backend", "trt-rtx")
    first, second = frames_of(exact, is_deep=True), frames_of(found, is_deep=True)
    assert first.max() > 255
    # One level of 10 bits is 64; had it gone through 8 bits, four of them would be one.
    assert np.abs(first.astype(int) - second).max() <= 64
