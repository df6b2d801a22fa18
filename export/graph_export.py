"""Add a graph to a model package, if it gives the same pictures as torch."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.export.agreement import Agreement, agreements
from vsrc.export.export_config import ExportConfig
from vsrc.export.extent import Extent, extent_of
from vsrc.runtime.errors import GateError, SpecError
from vsrc.runtime.package import describe, open_package, write_spec
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import GraphSpec

if TYPE_CHECKING:
    import onnx

    from vsrc.runtime.package import Package

logger = logging.getLogger(__name__)

LARGEST_DIFFERENCE = 1.0
"""Of an fp32 graph to torch, in units of 1/255: one rounding step, nothing more."""


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        file: The graph.
        name: What the package calls it.
        graph: Its description in `model.json`.
        nodes: Operators in it.
        agreements: The comparison with torch, one for each size.
    """

    file: Path
    name: str
    graph: GraphSpec
    nodes: int
    agreements: tuple[Agreement, ...]


def export(config: ExportConfig) -> ExportResult:
    """Write a graph, compare it with torch on real frames, then make it part of the package.

    Raises:
        SpecError: The package is damaged, or has the graph already and `overwrite` is off.
        GateError: The graph differs from torch by more than 1 of 255; nothing is written.
        MissingDependencyError: onnx, onnxscript, onnxsim, onnxruntime or torch is missing.
        ValueError: The shape is not one that the network takes.
    """
    package = open_package(config.package)
    name = graph_name(config)
    if name in package.spec.graphs and not config.overwrite:
        raise SpecError(f"{package.path} has a {name} graph; add --overwrite to write it again")
    # The folder is a sibling of the graphs: the finished file is moved, never copied.
    with tempfile.TemporaryDirectory(prefix=".export.", dir=package.path) as folder:
        draft, model, found, extent = _draft(package, config, Path(folder))
        _gate(found, name)
        relative = f"graphs/{name}.onnx"
        target = package.path / relative
        target.parent.mkdir(exist_ok=True)
        draft.replace(target)
    graph = GraphSpec(
        **vars(describe(package.path, relative)),
        precision=config.precision,
        io=config.io,
        opset=config.opset,
        height=extent.height,
        width=extent.width,
        batch=extent.batch,
    )
    _report(package.path, name, found)
    graphs = {**package.spec.graphs, name: graph}
    write_spec(package.path, dataclasses.replace(package.spec, graphs=graphs))
    return ExportResult(target, name, graph, len(model.graph.node), tuple(found))


def graph_name(config: ExportConfig) -> str:
    """`fp32`, or `fp32-float` when the edges are float tensors."""
    return config.precision if config.io == "uint8" else f"{config.precision}-{config.io}"


def _draft(
    package: Package, config: ExportConfig, folder: Path
) -> tuple[Path, onnx.ModelProto, list[Agreement], Extent]:
    """Export into `folder` and compare with torch."""
    from vsrc.compressor.networks.packaged import deployed, from_package
    from vsrc.export.to_onnx import to_onnx

    spec = package.spec.network
    network = deployed(from_package(package))
    extent = extent_of(config.shape, multiple=spec.size_multiple)
    model = to_onnx(network, spec, graph_io=config.io, extent=extent, opset=config.opset)
    path = folder / "draft.onnx"
    path.write_bytes(model.SerializeToString())
    return path, model, agreements(path, network, spec, graph_io=config.io, extent=extent), extent


def _gate(found: list[Agreement], name: str) -> None:
    worst = max(found, key=lambda agreement: agreement.largest_difference)
    logger.info("%s: largest difference to torch %.3f of 255", name, worst.largest_difference)
    if not worst.largest_difference <= LARGEST_DIFFERENCE:  # also catches NaN
        raise GateError(
            f"the {name} graph differs from torch by {worst.largest_difference:.3g} of 255 at "
            f"{worst.height}x{worst.width} (limit {LARGEST_DIFFERENCE:g}); nothing was written"
        )


def _report(folder: Path, name: str, found: list[Agreement]) -> None:
    reports = folder / "reports"
    reports.mkdir(exist_ok=True)
    data = {
        "schema_version": 1,
        "graph": name,
        "limit_of_255": LARGEST_DIFFERENCE,
        "compared_with": "torch fp32, frames of the sample clip",
        "agreements": to_json(found),
    }
    (reports / f"export-{name}.json").write_text(
        json.dumps(data, indent=2) + "\n", encoding="utf-8"
    )
