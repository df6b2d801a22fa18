"""`vsrc pack`: make a package of a checkpoint, of code, or of a graph of another program."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from vsrc.export.config import (
    EXPORT_MODULES,
    FOREIGN_MODULES,
    ExportConfig,
    ExportProgress,
    ExportStep,
    Size,
)
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.graph import write_graph_package
from vsrc.export.runs.onnx_export import export_onnx
from vsrc.runtime.dependencies import collect_versions
from vsrc.runtime.errors import SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.installation import require_installed
from vsrc.runtime.output_guard import model_files
from vsrc.runtime.package import (
    check_new_folder,
    describe_models,
    new_folder,
    open_package,
    write_spec,
)
from vsrc.runtime.shipped_models import typed_name
from vsrc.runtime.spec import ModelSpec, NetworkSpec, Provenance

SOURCE_SHA256 = "source_sha256"
"""Field of the provenance that holds the hash of the packed file."""


@dataclass(frozen=True)
class PackResult:
    """A package that was made.

    Attributes:
        path: Folder of the package.
        words: What the packed file is, in one line.
        graphs: Names of the graphs in the package.
    """

    path: Path
    words: str
    graphs: tuple[str, ...]


def pack(
    own: OwnNetwork,
    output: Path,
    *,
    overwrite: bool = False,
    shape: tuple[Size, ...] = (),
    command: str = "",
    progress: ExportProgress = lambda _: None,
) -> PackResult:
    """Make a package with an fp32 graph of any network; of a package, a copy.

    Args:
        own: What is packed.
        output: Folder of the package.
        overwrite: Whether a package in its place is replaced.
        shape: Sizes that the graph takes, as in `ExportConfig`.
        command: Command line, for the provenance.
        progress: Called at each step.

    Raises:
        OutputError: The output exists, or is the source.
        SpecError: The source is no file of a known kind.
        MismatchError: No network takes the weights, or the graph takes no frames.
        MissingDependencyError: A required package is not installed.
        GateError: The graph that was written differs from the network.
        ValueError: Several networks fit, or what is told does not.
    """
    inputs = model_files(own.source, own.weights)
    check_new_folder(output, overwrite=overwrite, inputs=inputs)
    kind = own.kind
    if kind == "package":
        return _copy(own, output, overwrite=overwrite)
    modules = FOREIGN_MODULES if kind == "graph" else EXPORT_MODULES
    require_installed(f"packing {own.source}", *modules, extra="export")
    if kind != "code" and not Path(own.source).is_file():
        raise SpecError(f"{own.source} does not exist; {describe_models(Path(own.source))}")
    with new_folder(output, overwrite=overwrite) as folder:
        progress(ExportStep("reading"))
        origin = _origin(own, command)
        if kind == "graph":
            words = write_graph_package(own, folder, origin)
        else:
            words = _write_network(own, folder, origin)
        if not open_package(folder).spec.graphs:
            export_onnx(ExportConfig(folder, shape=shape, allow_code=True), progress)
        graphs = tuple(open_package(folder).spec.graphs)
    return PackResult(output, words, graphs)


def _copy(own: OwnNetwork, output: Path, *, overwrite: bool) -> PackResult:
    assert own.package is not None
    package = open_package(own.package)
    with new_folder(output, overwrite=overwrite) as folder:
        shutil.copytree(package.path, folder, dirs_exist_ok=True)
    spec = package.spec
    words = f"copy of {typed_name(package.path)}, {describe_spec(spec.network)}"
    return PackResult(output, words, tuple(spec.graphs))


def _origin(own: OwnNetwork, command: str) -> Provenance:
    source = own.weights if own.kind == "code" else Path(own.source)
    facts = {"source": Path(own.source).name}
    if source is not None:
        facts[SOURCE_SHA256] = file_sha256(source)
    facts |= {key: str(value) for key, value in own.told.items()}
    return Provenance(recipe=facts, command=command, versions=collect_versions())


def _write_network(own: OwnNetwork, folder: Path, origin: Provenance) -> str:
    from vsrc.compressor.results import write_weights
    from vsrc.export.packing.checkpoint import load_checkpoint, load_code

    loaded = load_code(own) if own.kind == "code" else load_checkpoint(own)
    weights = write_weights(folder, loaded.network)
    write_spec(folder, ModelSpec(loaded.spec, weights, degradation="bi", provenance=origin))
    return describe_spec(loaded.spec)


def describe_spec(spec: NetworkSpec) -> str:
    """One line for people: what the network is and what it takes."""
    frames = "1 frame" if spec.window == 1 else f"{spec.window} frames"
    own = [f"{key}={value}" for key, value in spec.arguments.items() if key not in ("scale",)]
    arguments = f" ({', '.join(own)})" if own else ""
    halo = f"halo {spec.halo}" if spec.halo_is_exact else f"halo about {spec.halo}"
    work = f"{spec.parameters:,} parameters, {spec.gmac_per_lr_pixel * 1e6:.4g} kMAC per LR pixel"
    colour = spec.colour.upper()
    return f"{spec.name} x{spec.scale}{arguments}: {frames}, {colour}, {work}, {halo}"
