"""Add graphs to a model package, if they give the same pictures as torch."""

from __future__ import annotations

import dataclasses
import json
import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.export.agreement import Agreement, Run, agreements, halves_run, whole_run
from vsrc.export.export_config import ExportConfig
from vsrc.export.extent import Extent, extent_of
from vsrc.export.graph_plan import GraphPlan, plan_halves, plan_whole
from vsrc.runtime.errors import GateError, MismatchError, SpecError
from vsrc.runtime.package import describe, open_package, write_spec
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import GraphRole, GraphSpec, NetworkSpec

if TYPE_CHECKING:
    from torch import nn

    from vsrc.runtime.package import Package

logger = logging.getLogger(__name__)

LARGEST_DIFFERENCE = 1.0
"""Of an fp32 graph to torch, in units of 1/255: one rounding step, nothing more."""


@dataclass(frozen=True)
class ExportedGraph:
    """One graph that was written.

    Attributes:
        file: The graph.
        name: What the package calls it.
        graph: Its description in `model.json`.
        nodes: Operators in it.
    """

    file: Path
    name: str
    graph: GraphSpec
    nodes: int


@dataclass(frozen=True)
class ExportResult:
    """What was written.

    Attributes:
        graphs: The whole network first, then its halves where it has any.
        agreements: Name of a graph, or of a pair ("encode-fp32 + fuse-fp32") -> the comparison with
            torch, one for each size.
    """

    graphs: tuple[ExportedGraph, ...]
    agreements: dict[str, tuple[Agreement, ...]]

    @property
    def largest_difference(self) -> float:
        """Of anything that was written, at any size, to torch; in units of 1/255."""
        found = (one.largest_difference for each in self.agreements.values() for one in each)
        return max(found)


def export(config: ExportConfig) -> ExportResult:
    """Write graphs, compare them with torch on real frames, then make them part of the package.

    A network in two parts also gets the pair of its halves (`GraphSpec.role`), unless that is not
    wanted. Either all graphs are written or none.

    Raises:
        SpecError: The package is damaged, has a graph already and `overwrite` is off, or names a
            network outside the table and `allow_code` is off.
        MismatchError: The network cannot be exported.
        GateError: A graph differs from torch by more than 1 of 255; nothing is written.
        MissingDependencyError: onnx, onnxscript, onnxsim, onnxruntime or torch is missing.
        ValueError: The shape is not one that the network takes.
    """
    package = open_package(config.package)
    spec, network = package.spec.network, _exportable(package, config)
    extent = extent_of(config.shape, multiple=spec.size_multiple)
    plans = _plans(network, spec, config, extent)
    _refuse_to_replace(package, [graph_name(config, plan.role) for plan in plans], config)
    # The folder is a sibling of the graphs: a finished file is moved, never copied.
    with tempfile.TemporaryDirectory(prefix=".export.", dir=package.path) as folder:
        drafts = [_draft(plan, spec, config, extent, Path(folder)) for plan in plans]
        found = agreements(_runs(drafts), network, spec, graph_io=config.io, extent=extent)
        for name, of_one in found.items():
            _gate(of_one, name)
        (package.path / "graphs").mkdir(exist_ok=True)
        for draft in drafts:
            draft.path.replace(package.path / f"graphs/{draft.name}.onnx")
    written = tuple(_written(package, config, draft, extent) for draft in drafts)
    for name, of_one in found.items():
        _report(package.path, name, of_one)
    graphs = {**package.spec.graphs, **{one.name: one.graph for one in written}}
    write_spec(package.path, dataclasses.replace(package.spec, graphs=graphs))
    return ExportResult(written, {name: tuple(of_one) for name, of_one in found.items()})


def graph_name(config: ExportConfig, role: GraphRole = "whole") -> str:
    """`fp32`, `encode-fp32`, `fuse-fp32`; with `-float` where the edges are float tensors."""
    name = config.precision if config.io == "uint8" else f"{config.precision}-{config.io}"
    return name if role == "whole" else f"{role}-{name}"


def _exportable(package: Package, config: ExportConfig) -> nn.Module:
    from vsrc.compressor.networks.packaged import deployed, from_package

    network = from_package(package, allow_code=config.allow_code)
    if getattr(network, "sees_hr", False):
        raise MismatchError(
            f"{package.spec.network.name} restores a picture that it is shown, so it can only "
            "teach: there is nothing to export"
        )
    return deployed(network)


def _plans(
    network: nn.Module, spec: NetworkSpec, config: ExportConfig, extent: Extent
) -> list[GraphPlan]:
    from vsrc.compressor.networks.frame_encoder import FrameEncoder

    plans = [plan_whole(network, spec, graph_io=config.io, extent=extent)]
    if config.halves and isinstance(network, FrameEncoder):
        plans += plan_halves(network, spec, graph_io=config.io, extent=extent)
    return plans


def _refuse_to_replace(package: Package, names: list[str], config: ExportConfig) -> None:
    there = [name for name in names if name in package.spec.graphs]
    if there and not config.overwrite:
        raise SpecError(f"{package.path} has a {there[0]} graph; add --overwrite to write it again")


@dataclass(frozen=True)
class _Draft:
    """A graph that is not yet part of the package."""

    name: str
    path: Path
    plan: GraphPlan
    nodes: int


def _draft(
    plan: GraphPlan, spec: NetworkSpec, config: ExportConfig, extent: Extent, folder: Path
) -> _Draft:
    from vsrc.export.to_onnx import to_onnx

    name = graph_name(config, plan.role)
    model = to_onnx(plan, spec, graph_io=config.io, extent=extent, opset=config.opset)
    path = folder / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    return _Draft(name, path, plan, len(model.graph.node))


def _runs(drafts: list[_Draft]) -> dict[str, Run]:
    whole, *halves = drafts
    runs = {whole.name: whole_run(whole.path)}
    if halves:
        encode, fuse = halves
        plan = encode.plan
        runs[f"{encode.name} + {fuse.name}"] = halves_run(
            encode.path,
            fuse.path,
            encoded_frames=plan.encoded_frames,
            features=plan.features,
        )
    return runs


def _written(
    package: Package, config: ExportConfig, draft: _Draft, extent: Extent
) -> ExportedGraph:
    relative = f"graphs/{draft.name}.onnx"
    graph = GraphSpec(
        **vars(describe(package.path, relative)),
        precision=config.precision,
        io=config.io,
        opset=config.opset,
        height=extent.height,
        width=extent.width,
        batch=extent.batch,
        role=draft.plan.role,
        encoded_frames=draft.plan.encoded_frames,
        features=draft.plan.features,
    )
    return ExportedGraph(package.path / relative, draft.name, graph, draft.nodes)


def _gate(found: list[Agreement], name: str) -> None:
    for one in found:
        logger.info(
            "%s: differs from torch by %.3f of 255 at %dx%d",
            *(name, one.largest_difference, one.height, one.width),
        )
        if not one.largest_difference <= LARGEST_DIFFERENCE:  # also catches NaN
            raise GateError(
                f"{name} differs from torch by {one.largest_difference:.3g} of 255 at "
                f"{one.height}x{one.width} (limit {LARGEST_DIFFERENCE:g}); nothing was written"
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
    (reports / f"export-{name.replace(' + ', '-')}.json").write_text(
        json.dumps(data, indent=2) + "\n", encoding="utf-8"
    )
