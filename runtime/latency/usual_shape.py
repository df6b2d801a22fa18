"""The frame size that is measured where none is asked for."""

from __future__ import annotations

from pathlib import Path

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.package import open_package


def usual_shape(model: Path | None) -> tuple[int, int]:
    """Height and width to measure a model at: the default, or the nearest size that it takes.

    Args:
        model: Package, ONNX file or engine; None for the student that ships with vsrc.
    """
    default = BenchConfig.shape
    if model is None:
        return default
    if model.suffix.lower() == ".onnx" and model.is_file():
        return _of_graph(model, default)
    try:
        graphs = open_package(model).spec.graphs.values()
    except (VsrcError, OSError):
        return default  # opening it to measure says what is wrong
    for graph in graphs:
        height, width = (
            min(max(side, low), high)
            for side, (low, high) in zip(default, (graph.height, graph.width), strict=True)
        )
        return height, width
    return default


def _of_graph(path: Path, default: tuple[int, int]) -> tuple[int, int]:
    from vsrc.runtime.backends.ort import open_ort

    shape = open_ort(path, threads=1).get_inputs()[0].shape
    if len(shape) < 4:
        return default
    last = len(shape) - 1 if shape[-1] in (1, 3, 4) else len(shape)
    height, width = (
        have if isinstance(have, int) and have > 0 else wanted
        for have, wanted in zip(shape[last - 2 : last], default, strict=True)
    )
    return height, width
