"""NVIDIA's ModelOpt as the quantiser: used where it is installed, missed in one line elsewhere."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from support.error_lines import error_line
from vsrc.cli import main
from vsrc.export.config import ExportConfig
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import SAMPLE_CLIP


def asked(package: Path, *more: str) -> list[str]:
    fixed = ["export", str(package), "--precision", "int8", "--quantizer", "modelopt"]
    return [*fixed, "--calib", str(SAMPLE_CLIP), *more]


def test_without_it_the_line_says_how_to_get_it_and_nothing_is_written(
    untrained_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = Path(shutil.copytree(untrained_package, tmp_path / "copy.vsrc"))
    monkeypatch.setitem(sys.modules, "modelopt", None)
    done = CliRunner().invoke(main, asked(copy))
    assert done.exit_code == 3
    assert "pip install 'nvidia-modelopt[onnx]'" in error_line(done.stderr)
    assert not (copy / "graphs").exists()


@pytest.mark.parametrize("change", [{"precision": "fp16"}, {"io": "float"}, {"calib": ()}])
def test_what_it_cannot_do_is_refused_first(change: dict[str, object]) -> None:
    given = {"precision": "int8", "quantizer": "modelopt", "calib": (SAMPLE_CLIP,), **change}
    with pytest.raises(
        ValueError, match=r"--quantizer modelopt .*--precision int8 .*--io uint8 .*--calib"
    ):
        ExportConfig(Path("x"), **given)  # type: ignore[arg-type]


@pytest.mark.slow
def test_its_graph_passes_the_same_gate(untrained_package: Path, tmp_path: Path) -> None:
    pytest.importorskip("modelopt.onnx.quantization", reason="ModelOpt is not installed")
    copy = Path(shutil.copytree(untrained_package, tmp_path / "copy.vsrc"))
    done = CliRunner().invoke(main, asked(copy))
    assert done.exit_code == 0, done.stderr
    graph = open_package(copy).spec.graphs["int8"]
    assert graph.psnr_db is not None
    assert graph.psnr_db > 40
