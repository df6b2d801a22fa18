"""Choose the graphs, shapes and targets of a package's engines, and build them.

Never imports torch: on a device the graphs are in the package already. If they
are missing and torch is installed, they are written first, with the usual checks.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsrc.export.checks.tensorrt_operators import refuse_operators, refuse_opset
from vsrc.export.config import ExportConfig, ExportProgress
from vsrc.export.engines.builder import Builder
from vsrc.export.engines.engine_build import (
    BuildOrder,
    ShapesOf,
    choose_gpus,
    input_shapes,
    shapes_for,
)
from vsrc.export.engines.half_scales import advise_on_half_scales
from vsrc.export.foreign.form import FOREIGN
from vsrc.export.graphs.graph_name import graph_name, is_named_stacked
from vsrc.export.runs.engine_files import EnginePlan, build_engines
from vsrc.export.runs.result import ExportResult
from vsrc.export.runs.video_engines import build_video_engines
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.backends.device.engine_file import EngineBackend, EngineTarget
from vsrc.runtime.backends.device.engines import this_device
from vsrc.runtime.backends.device.tensorrt_api import tensorrt_module
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import GateError, MismatchError, SpecError
from vsrc.runtime.installation import require_installed
from vsrc.runtime.machine import cache_folder
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.sensors.cuda_device import CudaDevice
from vsrc.runtime.spec import GraphRole, GraphSpec, StateSpec

_SHARE_OF_FREE = 0.75
"""Fraction of free memory that a build may use: on a Jetson the system needs the rest."""
_ROLES: tuple[GraphRole, ...] = ("whole", "encode", "fuse")


def export_engine(config: ExportConfig, progress: ExportProgress) -> ExportResult:
    """Build engines of the whole, encode and fuse graphs that the package has.

    An existing engine of the same key is kept, unless `overwrite` is set.

    Raises:
        MissingDependencyError: TensorRT or, for `trt`, a GPU is missing; or the version is not
            supported.
        SpecError: The package lacks the graph, and torch is not installed to write it.
        MismatchError: TensorRT rejects the graph, or the graph does not accept the shapes.
        GateError: The engine does not compute in the requested precision, or its pictures differ
            too much from those of the same graph on the CPU.
        VsrcError: The build failed.
    """
    backend: EngineBackend = "trt" if config.format == "trt" else "trt-rtx"
    _refuse_new_opset(config)
    module = tensorrt_module(backend)
    here = this_device(backend, config.device) if backend == "trt" else None
    gpus = () if here else choose_gpus(module, config.gpus)
    workspace = _workspace(config, here.device if here else None)
    builder = Builder(backend, str(module.__version__), here, gpus, workspace)
    if config.video:
        require_installed("--video, which writes graphs,", "onnx", extra="export")
    result = _with_graphs(config, progress)
    package = open_package(config.package)
    shape_range_of(config.shape, multiple=package.spec.network.size_multiple)
    plans = []
    for name, path, graph in _graphs(package, config):
        if is_importable("onnx"):  # else TensorRT reports it
            refuse_operators(path)
        shapes_of = _shapes_of(name, graph, config, package.spec.network.state)
        with advise_on_half_scales(package, graph):
            shapes = input_shapes(backend, path, shapes_of)
        target = dataclasses.replace(
            builder.target(name, graph.sha256, shapes), precision=graph.file_precision, io=graph.io
        )
        order = BuildOrder(
            graph=path,
            precision=graph.file_precision,
            shapes_of=shapes_of,
            compute_capabilities=gpus,
            workspace_bytes=builder.workspace_bytes,
            timing_cache=config.timing_cache or _timing_cache(target),
        )
        plans.append(EnginePlan(target, order, graph))
    engines = build_engines(package, plans, config, progress)
    if config.video:
        engines += build_video_engines(package, builder, config, progress)
    return dataclasses.replace(result, engines=engines)


def _refuse_new_opset(config: ExportConfig) -> None:
    """Reject a graph that is there, or the foreign one that all are made from, by its opset."""
    spec = open_package(config.package).spec
    named = [f"{config.precision}", f"{config.precision}-float", f"{config.precision}-stacked"]
    is_foreign = spec.network.name.startswith(FOREIGN)
    for name, graph in spec.graphs.items():
        if is_foreign or name in named:
            refuse_opset(config.package, graph.opset)


def _with_graphs(config: ExportConfig, progress: ExportProgress) -> ExportResult:
    """Write the missing graphs."""
    assert config.precision != "auto"  # rejected by ExportConfig
    stacked = is_named_stacked(open_package(config.package).spec.network, config)
    name = graph_name(config.precision, config.io, is_stacked=stacked)
    there = open_package(config.package).spec.graphs.get(name)
    if there is not None and not there.stale:
        return ExportResult((), {})
    is_foreign = open_package(config.package).spec.network.name.startswith(FOREIGN)
    if not is_foreign and not is_importable("torch"):
        lacks = "has no" if there is None else "was calibrated since it got its"
        raise SpecError(
            f"{config.package} {lacks} {name} graph, and torch is not installed to write it; on a "
            f"machine with torch run vsrc export {config.package} "
            f"--precision {config.precision} --io {config.io}"
        )
    from vsrc.export.runs.onnx_export import export_onnx

    return export_onnx(dataclasses.replace(config, format="onnx", shape=(), video=False), progress)


def _graphs(package: Package, config: ExportConfig) -> Iterator[tuple[str, Path, GraphSpec]]:
    """Yield name, file and spec of each graph that an engine is built from."""
    assert config.precision != "auto"
    for role in _ROLES if config.halves else _ROLES[:1]:
        stacked = is_named_stacked(package.spec.network, config)
        name = graph_name(config.precision, config.io, role, is_stacked=stacked)
        described = package.spec.graphs.get(name)
        if described is not None and not described.stale:
            path, graph = package.graph(name)
            if graph.lossy and not config.allow_lossy:
                raise GateError(
                    f"the {name} graph is marked as lossy; --allow-lossy builds an engine of it"
                )
            yield name, path, graph


def _shapes_of(
    name: str, graph: GraphSpec, config: ExportConfig, state: Sequence[StateSpec]
) -> ShapesOf:
    """Shapes of the inputs at the requested sizes, if the graph accepts them."""
    for height, width in config.shape:
        for side, (low, high) in ((height, graph.height), (width, graph.width)):
            if not low <= side <= high:
                raise MismatchError(
                    f"the {name} graph takes {graph.height[0]}x{graph.width[0]} to "
                    f"{graph.height[1]}x{graph.width[1]}, not {height}x{width}; export it with "
                    "another --shape and --overwrite"
                )
    sizes = [(1, height, width) for height, width in config.shape]
    return shapes_for([*graph.features, *state], sizes)


def _workspace(config: ExportConfig, device: CudaDevice | None) -> int | None:
    if config.workspace_mib is not None:
        return config.workspace_mib << 20
    return int(_SHARE_OF_FREE * device.free_bytes) if device else None


def _timing_cache(target: EngineTarget) -> Path | None:
    """Path of the timing cache, one per GPU and version: TensorRT rejects those of others."""
    if target.gpu is None:
        return None
    chip = f"{target.version} {target.gpu} {target.multiprocessors}"
    name = re.sub(r"[^A-Za-z0-9.]+", "-", chip)
    return cache_folder() / f"tensorrt-{name}.timing"
