from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from click.testing import CliRunner

from support.places import ASSETS
from vsrc.cli import main
from vsrc.runtime.jobs.job_report import group_size, mean_of_groups

SCHEMA_FILE = ASSETS / "infer-report.schema.json"


@pytest.fixture(scope="module")
def written(clip: Path, tiny_package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A real run, once with a page and once with numbers."""
    folder = tmp_path_factory.mktemp("job")
    for suffix in ("json", "html"):
        arguments = ["infer", str(clip), "-m", str(tiny_package), "--overwrite"]
        arguments += ["-o", str(folder / "sr.mp4"), "--report", str(folder / f"report.{suffix}")]
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
    return folder


def test_the_numbers_agree_with_each_other(written: Path) -> None:
    found = json.loads((written / "report.json").read_text())
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(found, schema)
    assert (found["kind"], found["schema_version"]) == ("vsrc-infer-report", 2)
    assert found["frames"] == found["files"][0]["frames"] == 24
    assert found["fps"] == pytest.approx(24 / found["seconds"])
    stages = {stage["name"]: stage for stage in found["stages"]}
    assert list(stages) == ["decode", "upscale", "encode"]
    for stage in stages.values():
        assert len(stage["samples_ms"]) == 24
        # A thread works no longer than the whole run lasts.
        assert sum(stage["samples_ms"]) / 1000 == pytest.approx(
            stage["busy_share"] * found["seconds"]
        )
        assert stage["busy_share"] <= 1.0
    assert found["device"]["readings"]
    for path in ("busy_w", "joule_per_frame"):
        assert (found[path] is None) == (path in found["null_reasons"])


def test_there_is_a_sample_for_each_frame_of_an_excerpt(
    clip: Path, tiny_package: Path, tmp_path: Path
) -> None:
    report = tmp_path / "report.json"
    arguments = ["infer", str(clip), "-m", str(tiny_package), "-o", str(tmp_path / "sr.mp4")]
    arguments += ["--start", "0.2", "--frames", "8", "--report", str(report)]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(report.read_text())
    assert found["frames"] == 8
    assert [len(stage["samples_ms"]) for stage in found["stages"]] == [8, 8, 8]


def test_the_page_shows_the_threads_and_loads_nothing(written: Path) -> None:
    text = (written / "report.html").read_text(encoding="utf-8")
    assert "Upscaling of clip.mp4" in text
    assert "24 frames at" in text
    assert "Machine: " in text
    assert "student on ort-cpu fp32" in text, "the page names the model"
    assert "Over time" not in text, "one mean of 16 of 24 frames is no curve"
    assert text.count("<svg") >= 1
    assert "://" not in text
    assert "default-src 'none'" in text


def test_a_run_that_fails_leaves_no_report(tmp_path: Path, tiny_package: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    report = tmp_path / "report.html"
    arguments = ["infer", str(broken), "-m", str(tiny_package), "-o", str(tmp_path / "sr.mp4")]
    done = CliRunner().invoke(main, [*arguments, "--report", str(report)])
    assert done.exit_code == 1
    assert not report.exists()


def test_curves_do_not_show_which_frames_were_computed_together() -> None:
    # Four at once: the first has the time of all, the others return at once.
    samples = [40.0, 0.0, 0.0, 0.0] * 50
    group = group_size(len(samples))
    ends, means = mean_of_groups(samples, group)
    assert group >= 16
    assert means == pytest.approx([10.0] * len(means))
    assert ends == [group * (index + 1) for index in range(200 // group)]
    assert len(mean_of_groups([1.0] * 100_000, group_size(100_000))[0]) <= 100
