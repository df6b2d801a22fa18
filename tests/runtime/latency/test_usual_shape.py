from __future__ import annotations

from pathlib import Path

import pytest

from support.optional import skip_without
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.usual_shape import usual_shape


@pytest.mark.parametrize(
    ("size", "wanted"), [((None, None), BenchConfig.shape), ((40, 56), (40, 56))]
)
def test_a_graph_of_one_size_is_measured_at_it(
    size: tuple[int | None, int | None], wanted: tuple[int, int], tmp_path: Path
) -> None:
    skip_without("onnx", "onnxruntime")
    from support.foreign import ForeignCase, write_foreign
    from vsrc.export.foreign.form import ForeignForm

    form = ForeignForm("image", 1, 1, "rgb", 2)
    path = write_foreign(tmp_path / "g.onnx", ForeignCase(form, size=size))
    assert usual_shape(path) == wanted


def test_any_size_is_measured_at_the_default(tiny_package: Path) -> None:
    assert usual_shape(tiny_package) == usual_shape(None) == BenchConfig.shape
    assert usual_shape(Path("none.vsrc")) == BenchConfig.shape
