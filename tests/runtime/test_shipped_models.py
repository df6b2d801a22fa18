"""What ships is small, and as good as it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.package import open_package
from vsrc.runtime.quality.eval_data import EvalClip, plan_lr
from vsrc.runtime.quality.evaluation import METRIC_KINDS, by_session, score_upscaler
from vsrc.runtime.shipped_models import list_shipped, shipped

STUDENTS = [name for name in list_shipped() if name.startswith("edge-")]


def test_all_students_together_stay_small() -> None:
    folders = map(shipped, STUDENTS)
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert sum(file.stat().st_size for file in files) < 6_000_000


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDENTS)
@pytest.mark.parametrize("precision", ["fp32", "int8-cpu"])
def test_a_student_is_as_good_as_its_package_says(
    reference: Path, name: str, precision: str
) -> None:
    package = open_package(shipped(name))
    layout = find_clips(reference / "data" / "vid4" / "calendar")
    scale = package.spec.network.scale
    plan = plan_lr(layout, wanted="bi", taught_for="bi", scale=scale)
    clips = [EvalClip(source, plan, most=0) for source in layout.clips]
    session = package.session(precision=precision)
    found = score_upscaler(
        by_session(name, session), clips, {"psnr": METRIC_KINDS["psnr"]}, border=0
    )
    said = {one.data: one.value for one in package.spec.quality if one.metric == "psnr_y"}
    allowed = 2e-3 if precision == "fp32" else 0.05
    assert found.mean["psnr_y"] == pytest.approx(said["calendar"], abs=allowed)
