"""Engines of a package that convert frames of NVDEC, make frames for NVENC, and check results.

They are built by `vsrc export --video` from the graphs of `vsrc.export.graphs.colour_graphs` and
`guard_graph`, which have no weights and fit every network:

    nv12-to-rgb-left      y, uv, matrix, offset -> rgb
    rgb-to-p010-left      rgb, matrix, offset -> y, uv
    guard-x4              lr, sr -> corrupted
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.backends.device.device_frames import COLOUR_SHAPES, plane_shapes
from vsrc.runtime.backends.device.engine_file import check_engine, read_engine_spec
from vsrc.runtime.backends.device.engine_trust import check_trusted
from vsrc.runtime.backends.device.engines import Here, engine_files
from vsrc.runtime.backends.device.gpu import Engine
from vsrc.runtime.backends.device.program import TensorShapes
from vsrc.runtime.errors import MismatchError, MissingDependencyError, SpecError

if TYPE_CHECKING:
    from pathlib import Path

    from vsrc.runtime.package import Package

_NAMES = {"nv12": "nv12", "p010le": "p010"}
"""FFmpeg's pixel format -> its name in names of graphs."""


def to_rgb_name(layout: str, *, is_left: bool) -> str:
    """Name of the graph from frames to RGB.

    Args:
        layout: FFmpeg's pixel format of the frames.
        is_left: Whether chroma is sited to the left, not centred.
    """
    return f"{_NAMES[layout]}-to-rgb-{'left' if is_left else 'centre'}"


def from_rgb_name(layout: str) -> str:
    """Name of the graph from RGB to frames of a pixel format, with chroma to the left."""
    return f"rgb-to-{_NAMES[layout]}-left"


def guard_name(scale: int) -> str:
    """Name of the graph that checks results of a scale."""
    return f"guard-x{scale}"


def open_to_rgb(
    package: Package, here: Here, layout: str, size: tuple[int, int], *, is_left: bool
) -> Engine:
    """Open the engine from frames of a size to RGB; see `_open`."""
    name = to_rgb_name(layout, is_left=is_left)
    inputs = plane_shapes(layout, size) | COLOUR_SHAPES
    return _open(package, here, name, inputs, {"rgb": (*size, 3)})


def open_from_rgb(package: Package, here: Here, layout: str, size: tuple[int, int]) -> Engine:
    """Open the engine from RGB to frames of a size; see `_open`."""
    inputs: TensorShapes = {"rgb": (*size, 3), **COLOUR_SHAPES}
    return _open(package, here, from_rgb_name(layout), inputs, plane_shapes(layout, size))


def open_guard(package: Package, here: Here, scale: int, size: tuple[int, int]) -> Engine:
    """Open the engine that checks results for frames of a size; see `_open`."""
    height, width = size
    inputs: TensorShapes = {"lr": (height, width, 3), "sr": (height * scale, width * scale, 3)}
    return _open(package, here, guard_name(scale), inputs, {"corrupted": (1,)})


def _open(
    package: Package, here: Here, name: str, inputs: TensorShapes, outputs: TensorShapes
) -> Engine:
    """Open an engine that takes these shapes.

    Raises:
        MissingDependencyError: The package has none that runs here.
        DeviceMemoryError: There is no memory for it.
    """
    from vsrc.runtime.backends.device.trt_engine import TrtEngine

    reasons: list[str] = []
    for path in engine_files(package, here.backend, name):
        try:
            _check_file(path, here, inputs)
            engine: Engine = TrtEngine(path, here.backend)
        except (SpecError, MismatchError) as error:
            reasons.append(str(error))
            continue
        try:
            _compare(path, engine, inputs, outputs)
        except MismatchError as error:
            engine.close()
            reasons.append(str(error))
            continue
        return engine
    raise MissingDependencyError(
        reasons[0] if reasons else f"{package.path.name} holds no {here.backend} {name} engine"
    )


def _check_file(path: Path, here: Here, inputs: TensorShapes) -> None:
    """Check that an engine is intact, was built for this device, and takes these shapes."""
    target = read_engine_spec(path).target
    spec = check_engine(
        path, here=here.video_target(target.graph, target.graph_sha256, target.shapes)
    )
    check_trusted(path, spec.sha256)
    for name, shape in inputs.items():
        limits = target.shapes.get(name) or ((),)
        least, most = limits[0], limits[-1]
        if not len(least) == len(shape) == len(most) or not all(
            low <= side <= high for low, side, high in zip(least, shape, most, strict=True)
        ):
            raise MismatchError(f"{path.name} does not take {name} of {shape}")


def _compare(path: Path, engine: Engine, inputs: TensorShapes, outputs: TensorShapes) -> None:
    """Compare the tensors of a loaded engine with those of its graph."""
    types = {name: np.dtype(np.float32 if name in COLOUR_SHAPES else np.uint8) for name in inputs}
    made = {name: np.dtype(np.uint8) for name in outputs}
    if engine.inputs != types or engine.outputs != made or engine.reshape(inputs) != outputs:
        raise MismatchError(
            f"{path.name} has other tensors than its graph; build it again: vsrc export --video "
            "--overwrite"
        )
