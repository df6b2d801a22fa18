"""A dry run says what the run would do, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from support.reordering_gpu import ADA
from vsrc.cli import main
from vsrc.runtime.jobs import dry_run
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.dry_run import estimate_run
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]


def ask(clip: Path, package: Path, output: Path, *options: str) -> Result:
    asked = ["infer", str(clip), "-m", str(package), "-o", str(output), "--dry-run"]
    return CliRunner().invoke(main, [*asked, "--threads", "1", "--backend", "ort", *options])


@pytest.fixture
def clip(tmp_path: Path, write_clip: Make, moving: Make) -> Path:
    return Path(write_clip(tmp_path / "in.mkv", moving(7, 24, 40), codec="ffv1"))


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if not path.is_relative_to(folder / "cache")}


def test_nothing_is_written_and_the_run_does_what_was_said(
    clip: Path, tiny_package: Path, tmp_path: Path
) -> None:
    output, before = tmp_path / "results" / "out.mkv", files_below(tmp_path)
    done = ask(clip, tiny_package, output, "--tile", "24", "--json")
    assert done.exit_code == 0, done.output
    assert files_below(tmp_path) == before
    (planned,) = json.loads(done.stdout)["plans"]
    assert (planned["width"], planned["height"], planned["frames"]) == (40, 24, 7)
    assert (planned["output_width"], planned["output_height"]) == (80, 48)
    assert planned["tile"] == 24
    assert planned["graph"]["backend"] == "ort-cpu"
    assert planned["device_bytes"] is None
    assert planned["frame_ms"] > 0
    assert planned["seconds"] == pytest.approx(planned["frame_ms"] * 7 / 1000, abs=0.1)
    asked = ["infer", str(clip), "-m", str(tiny_package), "-o", str(output), "--codec", "ffv1"]
    run = CliRunner().invoke(main, [*asked, "--tile", "24", "--backend", "ort", "--json"])
    (result,) = json.loads(run.stdout)["files"]
    assert result["frames"] == planned["frames"]
    assert result["graph"] == planned["graph"]


def test_the_text_names_sizes_model_backend_and_memory(
    clip: Path, tiny_package: Path, tmp_path: Path
) -> None:
    done = ask(clip, tiny_package, tmp_path / "out.mkv")
    assert "in.mkv: 40x24 (WxH), 7 frames -> " in done.stdout
    assert "80x48" in done.stdout
    assert f"{tiny_package}: ort-cpu fp32 (graphs/fp32.onnx), whole frames" in done.stdout
    assert "ms per frame, about" in done.stdout


def test_what_the_run_would_refuse_is_refused(
    clip: Path, tiny_package: Path, tmp_path: Path
) -> None:
    existing = tmp_path / "there.mkv"
    existing.write_bytes(b"mine")
    done = ask(clip, tiny_package, existing)
    assert done.exit_code == 2
    assert "--overwrite" in done.stderr
    assert existing.read_bytes() == b"mine"
    assert ask(clip, tiny_package, tmp_path / "a.mkv", "--codec", "no-such").exit_code != 0
    assert ask(clip, tiny_package, tmp_path / "a.mkv", "--shard", "1/2").exit_code == 2


def test_memory_of_the_device_is_what_became_less_there(
    clip: Path, tiny_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = iter([9 << 30, 8 << 30])
    monkeypatch.setattr(dry_run, "cuda_device", lambda _: replace(ADA, free_bytes=next(free)))
    config = InferConfig((clip,), tmp_path / "out.mkv", model=tiny_package, threads=1)
    (planned,) = estimate_run(config).plans
    assert planned.device_bytes == 1 << 30
    assert "GPU memory 1.07 GB" in "\n".join(planned.lines)


def test_one_input_that_fails_leaves_the_plans_of_the_others(
    clip: Path, tiny_package: Path, tmp_path: Path
) -> None:
    library, results = tmp_path / "library", tmp_path / "results"
    library.mkdir()
    for name in ("done.mkv", "new.mkv"):
        shutil.copy(clip, library / name)
    config = InferConfig((library,), results, model=tiny_package, threads=1)
    infer(config)
    (results / "new.mkv").unlink()
    (library / "broken.mkv").write_bytes(b"\0" * 4000)
    before = {file: file.read_bytes() for file in results.rglob("*")}
    estimate = estimate_run(config)
    assert [plan.input for plan in estimate.plans] == ["new.mkv"]
    assert [result.input for result in estimate.done] == ["done.mkv"]
    assert [failure.input for failure in estimate.failures] == ["broken.mkv"]
    assert {file: file.read_bytes() for file in results.rglob("*")} == before
    asked = ask(library, tiny_package, results)
    assert asked.exit_code == 1
    assert "broken.mkv" in asked.stderr
    assert "new.mkv" in asked.stdout
