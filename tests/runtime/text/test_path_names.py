"""Names of models: their files, and folders where two files have one name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsrc.runtime.text.path_names import names_of_paths


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (("student.vsrc", "zoo/edge-s.vsrc"), ("student", "edge-s")),
        (("a/x.vsrc", "b/x.vsrc"), ("a/x", "b/x")),
        (("a/x.vsrc", "a/x.vsrc"), ("x", "x")),
        (("r/1/c/x.vsrc", "r/2/c/x.vsrc", "y.onnx"), ("1/c/x", "2/c/x", "y.onnx")),
    ],
)
def test_models_are_named_by_as_much_of_their_paths_as_differs(
    models: tuple[str, ...], names: tuple[str, ...]
) -> None:
    assert tuple(names_of_paths(list(map(Path, models)))) == names
