"""Names of measured models."""

from __future__ import annotations

import pytest

from vsrc.runtime.latency.model_names import _name_path, _shortest, named_with


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
    paths = [_name_path(model) for model in models]
    assert tuple(_shortest(path, paths) for path in paths) == names


def test_the_network_stands_beside_another_name() -> None:
    assert named_with("student", "edge-s", scale=4) == "student (edge-s x4)"
    assert named_with("edge-s", "edge-s", scale=4) == "edge-s x4"
