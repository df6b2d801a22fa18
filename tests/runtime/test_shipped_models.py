"""What ships is small, and as good as it says."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from vsrc.runtime.backends.graph_in_use import GraphInUse, graph_of
from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.job_report import infer_with_report
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.runs import bench
from vsrc.runtime.package import open_package
from vsrc.runtime.quality.eval_config import EvalConfig
from vsrc.runtime.quality.eval_data import EvalClip, plan_lr
from vsrc.runtime.quality.evaluation import METRIC_KINDS, by_session, evaluate, score_upscaler
from vsrc.runtime.shipped_models import list_shipped, shipped

STUDENTS = [name for name in list_shipped() if name.startswith("edge-")]


def test_all_students_together_stay_small() -> None:
    folders = map(shipped, STUDENTS)
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 16_000_000


def test_auto_is_the_same_graph_for_everything_that_runs_a_student(
    tmp_path: Path, clip: Path
) -> None:
    student = shipped("edge-s")
    wanted = GraphInUse(
        "ort-cpu", "int8-cpu", "graphs/int8-cpu.onnx", file_sha256(student / "graphs/int8-cpu.onnx")
    )
    assert graph_of(open_package(student).session()) == wanted
    (scored,) = evaluate(EvalConfig(data=clip.parent, models=(student,), frames=2)).models
    assert scored.graph == wanted
    report_file = tmp_path / "report.json"
    infer_with_report(
        InferConfig((clip,), tmp_path / "sr.mkv", model=student, frames=2), report_file
    )
    report = json.loads(report_file.read_text())
    assert report["graphs"] == [report["files"][0]["graph"]] == [asdict(wanted)]
    subject = bench(BenchConfig(student, (32, 32), iterations=2, runs=1, stages=False)).subject
    assert subject.graph_words == str(wanted)
    assert subject.graph_sha256 == wanted.sha256


def test_eval_scores_the_graph_that_is_named(
    clip: Path,
) -> None:
    reports = {
        precision: evaluate(
            EvalConfig(data=clip.parent, models=(shipped("edge-s"),), precision=precision, frames=2)
        )
        for precision in ("auto", "fp32", "int8-cpu")
    }
    files = {name: report.models[0].graph.file for name, report in reports.items()}
    assert files["fp32"] == "graphs/fp32.onnx"
    means = {name: report.rows[1].mean for name, report in reports.items()}
    assert means["auto"] == means["int8-cpu"] != means["fp32"]


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("precision", ["fp32", "int8-cpu"])
def test_a_student_is_as_good_as_its_package_says(
    reference: Path, name: str, precision: str
) -> None:
    package = open_package(shipped(name))
    layout = find_clips(reference / "data" / "vid4" / "calendar")
    scale = package.spec.network.scale
    plan = plan_lr(layout, wanted="bi", trained_for="bi", scale=scale)
    clips = [EvalClip(source, plan, most=0) for source in layout.clips]
    session = package.session(precision=precision)
    found = score_upscaler(
        by_session(name, session), clips, {"psnr": METRIC_KINDS["psnr"]}, border=0
    )
    said = {one.data: one.value for one in package.spec.quality if one.metric == "psnr_y"}
    allowed = 2e-3 if precision == "fp32" else 0.05
    assert found.mean["psnr_y"] == pytest.approx(said["calendar"], abs=allowed)
