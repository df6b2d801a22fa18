"""A graph becomes part of a package only if it gives the pictures that torch gives."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner

from support.error_lines import error_line
from vsrc.cli import main
from vsrc.compressor.networks.loading.packaged import from_package
from vsrc.export.checks.agreement import Agreement
from vsrc.export.checks.quality_gate import GateLimits, check_agreement
from vsrc.export.config import ExportConfig, parse_shape
from vsrc.export.graphs.graph_name import METADATA_KEY
from vsrc.export.runs.exporting import export
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.errors import GateError, OutputError
from vsrc.runtime.package import open_package


def test_graph_and_network_give_the_same_pictures_at_any_size(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    network, session = from_package(package), package.session()
    rng = np.random.default_rng(0)
    for batch, height, width in ((1, 17, 30), (3, 31, 22)):
        lr = rng.integers(0, 256, (batch, 3, height, width, 3), dtype=np.uint8)
        with torch.inference_mode():
            floats = torch.from_numpy(lr).permute(0, 1, 4, 2, 3).float() / 255
            truth = (network(floats) * 255).round().clamp(0, 255).permute(0, 2, 3, 1).numpy()
        # Where torch lands within rounding of a half, the graph may take the neighbour.
        assert np.abs(session(lr).astype(int) - truth.astype(int)).max() <= 1


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (3, 2)])
def test_pictures_smaller_than_the_graph_takes_are_padded_and_cropped(
    tiny_package: Path, height: int, width: int
) -> None:
    lr = np.full((1, 3, height, width, 3), 90, np.uint8)
    sr = open_package(tiny_package).session()(lr)
    assert sr.shape == (1, 2 * height, 2 * width, 3)


def test_uint8_enters_and_leaves_through_a_cast(tiny_package: Path) -> None:
    path, graph = open_package(tiny_package).graph("fp32")
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    first = [node.op_type for node in model.graph.node if "lr" in node.input]
    assert set(first) <= {"Cast", "Shape"}
    (last,) = [node for node in model.graph.node if "sr" in node.output]
    assert last.op_type == "Cast"
    assert [(o.domain, o.version) for o in model.opset_import if not o.domain] == [("", 18)]
    assert graph.opset == 18


def test_no_trace_of_the_exporting_machine_is_left(tiny_package: Path) -> None:
    path, _ = open_package(tiny_package).graph("fp32")
    content = path.read_bytes()
    assert str(Path.home()).encode() not in content
    assert b".py" not in content


def test_the_spec_travels_in_the_graph(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    model = onnx.load(package.graph("fp32")[0])
    (entry,) = [prop for prop in model.metadata_props if prop.key == METADATA_KEY]
    said = json.loads(entry.value)
    assert said["network"]["scale"] == package.spec.network.scale
    assert said["graph"]["io"] == "uint8"


def test_the_same_network_gives_the_same_bytes(tiny_package: Path, copy: Path) -> None:
    again = export(ExportConfig(copy, halves=False))
    (written,) = again.graphs
    assert written.graph.sha256 == open_package(tiny_package).spec.graphs["fp32"].sha256


def test_not_a_number_is_a_difference() -> None:
    fine = Agreement(8, 8, None, 0.0, 0.0, 0.0)
    wrong = Agreement(8, 8, float("nan"), float("nan"), float("nan"), 1.0)
    check_agreement("fp32", [fine], precision="fp32", limits=GateLimits(90.0))
    with pytest.raises(GateError, match=r"fp32 .*nan dB .*8x8"):
        check_agreement("fp32", [fine, wrong], precision="fp32", limits=GateLimits(90.0))


def test_what_misses_the_limit_is_not_written_unless_asked_for(copy: Path) -> None:
    asked = ["export", str(copy), "--shape", "12x16", "--no-halves", "--precision", "fp16"]
    refused = CliRunner().invoke(main, [*asked, "--min-psnr", "150"])
    assert refused.exit_code == 4
    assert "150 dB" in error_line(refused.stderr)
    assert sorted(p.name for p in copy.iterdir()) == ["model.json", "weights.safetensors"]
    kept = CliRunner().invoke(main, [*asked, "--min-psnr", "150", "--allow-lossy"])
    assert kept.exit_code == 0
    assert "LOSSY" in kept.stdout
    graph = open_package(copy).spec.graphs["fp16"]
    assert graph.lossy
    assert graph.psnr_db is not None
    assert 50 < graph.psnr_db < 150
    assert json.loads((copy / "reports/export-fp16.json").read_text())["lossy"] is True
    page = (copy / "reports/export-fp16.html").read_text(encoding="utf-8")
    assert f"Export of {copy.name.removesuffix('.vsrc')}: fp16" in page
    assert re.search(r'class="badge bad">failed: [\d.]+ dB, below 150 dB', page)


def test_a_report_that_cannot_be_written_leaves_the_package_as_it_was(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object, **_options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vsrc.export.runs.add_graphs.write_reports", full)
    before = sorted(path.name for path in copy.rglob("*"))
    with pytest.raises(OSError, match="No space"):
        export(ExportConfig(copy, shape=((12, 16),), halves=False))
    assert sorted(path.name for path in copy.rglob("*")) == before
    assert open_package(copy).spec.graphs == {}


def test_a_graph_is_replaced_only_when_asked(tiny_package: Path) -> None:
    with pytest.raises(OutputError, match="--overwrite"):
        export(ExportConfig(tiny_package))


def test_an_export_to_a_copy_goes_on_after_it_was_killed(
    tiny_package: Path, tmp_path: Path
) -> None:
    asked = ["export", str(tiny_package), "-o", str(tmp_path / "out.vsrc"), "--shape", "12x16"]
    shutil.copytree(tiny_package, tmp_path / "out.vsrc")  # all that was done when it was killed
    done = CliRunner().invoke(main, [*asked, "--no-halves"])
    assert done.exit_code == 0, done.output
    assert open_package(tmp_path / "out.vsrc").spec.graphs["fp32"].height == (12, 12)
    again = CliRunner().invoke(main, [*asked, "--no-halves"])  # what was exported is kept
    assert again.exit_code == 2
    assert "--overwrite" in again.stderr


def test_shapes_are_read_as_height_by_width() -> None:
    assert parse_shape("180x320") == ((180, 320),)
    assert parse_shape("9x16, 18X32,36x64") == ((9, 16), (18, 32), (36, 64))


@pytest.mark.parametrize("text", ["", "180", "180x", "ax3", "1x2;3x4", "-1x5"])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"'{text}' .*HxW"):
        parse_shape(text)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (((0, 5),), r"\(0, 5\).*8192"),
        (((5, 5), (6, 6)), "2 shapes given"),
        (((9, 9), (8, 9), (10, 10)), "must ascend"),
    ],
)
def test_shapes_that_make_no_sense_are_refused(
    shape: tuple[tuple[int, int], ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ExportConfig(Path("x"), shape=shape)


def test_a_shape_that_is_no_multiple_names_the_next() -> None:
    with pytest.raises(ValueError, match=r"18, .* 4: try 20"):
        shape_range_of(((18, 32),), multiple=4)


def test_extents_of_dynamic_and_fixed_graphs() -> None:
    assert shape_range_of(((16, 32),), multiple=4).fixed
    whole = shape_range_of((), multiple=16)
    assert whole.height == (16, 8192)
    assert not whole.fixed
