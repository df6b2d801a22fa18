"""Build the engines of a package, judge them, and write `engines/<key>.engine` with its sidecar.

    for each graph      build ─ layers: refused if told to be of another precision
    for each network    pictures against the CPU, where there is a device ─ the gate
                        and, where nothing tells the precision, speed against fp32
    then                write all

Nothing is written if one is refused. Never imports torch.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from vsrc.export.checks.engine_pictures import (
    FRAMES,
    EngineTrial,
    check_gain,
    check_pictures,
    try_engine,
)
from vsrc.export.checks.layer_precisions import check_share
from vsrc.export.config import ExportConfig, ExportProgress, ExportStep, Size
from vsrc.export.engines.engine_build import BuildOrder, BuiltEngine, build_engine, build_unpinned
from vsrc.export.engines.half_scales import advise_on_half_scales
from vsrc.export.runs.result import ExportedEngine
from vsrc.runtime.backends.device.engine_file import (
    EngineSpec,
    EngineTarget,
    check_engine,
    check_fits,
    engine_text,
    read_engine_spec,
)
from vsrc.runtime.backends.device.engine_trust import remember_engine
from vsrc.runtime.backends.device.engines import (
    FoundEngine,
    Here,
    open_halves,
    open_whole,
    this_device,
    with_sizes,
)
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import (
    GateError,
    MismatchError,
    MissingDependencyError,
    SpecError,
)
from vsrc.runtime.hashing import bytes_sha256
from vsrc.runtime.installation import missing_text
from vsrc.runtime.package import Package, inside
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.processes.stop_signal import delay_stop_signal
from vsrc.runtime.spec import GraphSpec, NetworkSpec, Precision
from vsrc.runtime.windows.session import Session


@dataclass(frozen=True)
class EnginePlan:
    """An engine to build.

    Attributes:
        target: Everything that it depends on.
        order: Parameters of the build.
        graph: Spec of its graph.
    """

    target: EngineTarget
    order: BuildOrder
    graph: GraphSpec


@dataclass
class _Draft:
    """An engine that was built and is not written yet."""

    plan: EnginePlan
    made: BuiltEngine
    spec: EngineSpec
    instead: str = ""


def build_engines(
    package: Package, plans: Sequence[EnginePlan], config: ExportConfig, progress: ExportProgress
) -> tuple[ExportedEngine, ...]:
    """Build, judge and write the engines that the package lacks, or all with `overwrite`.

    Args:
        package: Package that they are added to.
        plans: Engines of the whole, encode and fuse graphs.
        config: Export settings.
        progress: Called at each step.

    Raises:
        GateError: An engine does not compute in the requested precision, or its pictures differ
            too much; nothing is written.
        VsrcError: A build failed.
    """
    drafts: dict[str, _Draft] = {}
    for plan in plans:
        if config.overwrite or not _file(package, plan).is_file():
            with advise_on_half_scales(package, plan.graph):
                drafts[plan.target.key] = _build(plan, progress)
            drafts[plan.target.key].instead = _why_not_another(package, plan)
    for network in _networks(list(drafts.values())):
        with advise_on_half_scales(package, network[0].plan.graph):
            _judge(package.spec.network, network, config, progress)
    for draft in drafts.values():
        write_engine(_file(package, draft.plan), draft.made, draft.spec)
    return tuple(
        ExportedEngine(file, drafts[key].spec, built=True, instead=drafts[key].instead)
        if (key := plan.target.key) in drafts
        else ExportedEngine(file, check_engine(file, here=plan.target), built=False)
        for plan in plans
        for file in [_file(package, plan)]
    )


def _build(plan: EnginePlan, progress: ExportProgress) -> _Draft:
    """Build one engine and read what its layers compute in."""
    target = plan.target
    progress(ExportStep(f"building the {target.graph} engine"))
    made = build_engine(target.backend, plan.order, progress)
    layers = made.layers.convolutions
    evidence = check_share(
        made.asked, layers, precision=target.precision, typed=made.strongly_typed
    )
    _check_asked(made, target.precision)
    notes = []
    if made.fallback:
        notes.append(f"weakly typed, as the strongly typed build failed: {made.fallback}")
    if made.layers.problem:
        notes.append(f"layers could not be inspected: {made.layers.problem}")
    spec = EngineSpec(
        key=target.key,
        target=target,
        role=plan.graph.role,
        sha256=bytes_sha256(made.engine),
        size_bytes=len(made.engine),
        strongly_typed=made.strongly_typed,
        layers=layers,
        asked_layers=made.asked,
        lossy=plan.graph.lossy,
        build_seconds=round(made.seconds, 3),
        precision_from=evidence,
        notes=tuple(notes),
    )
    remember_engine(spec.sha256)
    return _Draft(plan, made, spec)


def _why_not_another(package: Package, plan: EnginePlan) -> str:
    """Why an engine of the same graph and shapes that is there cannot be used; empty if none is."""
    for path in sorted((package.path / "engines").glob("*.engine")):
        try:
            target = read_engine_spec(path).target
        except SpecError:
            continue
        wanted = plan.target
        if (target.graph, target.backend) != (wanted.graph, wanted.backend):
            continue
        try:
            if target.shapes == wanted.shapes:
                check_fits(path, target, wanted)
        except MismatchError as error:
            return str(error).split(";")[0]
    return ""


def _check_asked(made: BuiltEngine, precision: Precision) -> None:
    if precision != "fp32" and not made.asked.get(precision):
        counts = ", ".join(f"{number} {name}" for name, number in made.asked.items()) or "none"
        raise GateError(
            f"TensorRT reads no convolution of the {precision} graph as {precision} ({counts}); "
            "no engine was written"
        )


def _networks(drafts: list[_Draft]) -> list[list[_Draft]]:
    """Group the engines that make pictures: the whole, and encode with fuse."""
    whole = [[draft] for draft in drafts if draft.spec.role == "whole"]
    pair = [draft for role in ("encode", "fuse") for draft in drafts if draft.spec.role == role]
    return [*whole, *([pair] if pair else [])]


def _judge(
    network: NetworkSpec, drafts: list[_Draft], config: ExportConfig, progress: ExportProgress
) -> None:
    """Compare the pictures of one network's engines; update their sidecars."""
    here = _device(drafts, config.device)
    if isinstance(here, str):
        for draft in drafts:
            draft.spec = dataclasses.replace(draft.spec, not_compared=here)
        return
    name = " + ".join(draft.plan.target.graph for draft in drafts)
    target = drafts[0].plan.target
    trial = _try(network, here, drafts, [draft.made for draft in drafts], progress)
    is_lossy = False
    try:
        check_pictures(name, trial, precision=target.precision, layers=_layers_text(drafts))
    except GateError:
        if not config.allow_lossy:
            raise
        is_lossy = True
    if any(draft.spec.precision_from == "none" for draft in drafts):
        plain = [build_unpinned(target.backend, draft.plan.order, progress) for draft in drafts]
        slower = _try(network, here, drafts, plain, progress)
        check_gain(name, trial, slower, precision=target.precision)
    for draft in drafts:
        lossy = draft.spec.lossy or is_lossy
        draft.spec = dataclasses.replace(draft.spec, compared=trial.compared, lossy=lossy)


def _device(drafts: list[_Draft], device: int) -> Here | str:
    """Return the device to compare on, or why there is none."""
    target = drafts[0].plan.target
    if len(drafts) == 1 and drafts[0].spec.role != "whole":
        return "its other half was built before"
    if not is_importable("onnxruntime"):
        return f"the CPU runs graphs with {missing_text('onnxruntime', extra='cpu')}"
    try:
        here = this_device(target.backend, device)
    except MissingDependencyError as error:
        return f"no device: {error}"
    if here.device.compute_capability not in target.compute_capabilities:
        return f"{here.device.name} is not one of the GPUs that it was built for"
    return here


def _try(
    network: NetworkSpec,
    here: Here,
    drafts: list[_Draft],
    made: list[BuiltEngine],
    progress: ExportProgress,
) -> EngineTrial:
    with _open(network, here, drafts, made) as engine:
        cpu = _open_cpu(network, drafts)
        sizes = _sizes(engine.graph, drafts[0])
        total = FRAMES * len(sizes)
        try:
            return try_engine(
                engine,
                cpu,
                sizes,
                lambda done: progress(ExportStep("comparing the output with the CPU", done, total)),
            )
        finally:
            cpu.close()


@contextmanager
def _open(
    network: NetworkSpec, here: Here, drafts: list[_Draft], made: list[BuiltEngine]
) -> Iterator[Session]:
    """Open engines from a temporary folder, where they do not pass for those of the package."""
    with TemporaryDirectory(prefix="vsrc-engine-") as folder:
        found = []
        for draft, built in zip(drafts, made, strict=True):
            path = Path(folder) / f"{draft.spec.key}.engine"
            path.write_bytes(built.engine)
            path.with_suffix(".json").write_text(engine_text(draft.spec), encoding="utf-8")
            graph = with_sizes(draft.plan.graph, draft.spec)
            found.append(FoundEngine(path, draft.spec, graph))
        session = (
            open_whole(network, here, found)
            if len(found) == 1
            else open_halves(network, here, *found)
        )
        try:
            yield session
        finally:
            session.close()


def _open_cpu(network: NetworkSpec, drafts: list[_Draft]) -> Session:
    from vsrc.runtime.backends.opening import open_ort_graph
    from vsrc.runtime.backends.ort_halves import OrtHalves
    from vsrc.runtime.windows.feature_ring import RingSession

    files = [draft.plan.order.graph for draft in drafts]
    graph = drafts[0].plan.graph
    if len(files) == 1:
        return open_ort_graph(files[0], network=network, graph=graph)
    return RingSession(OrtHalves(files[0], files[1], network=network, graph=graph))


def _sizes(graph: GraphSpec, draft: _Draft) -> list[Size]:
    """The least and the usual size of the frames; or the only one."""
    shapes = draft.spec.target.shapes["lr"]
    row = -3 if graph.io == "uint8" else -2
    usual = shapes[len(shapes) // 2]
    sizes = [(shape[row], shape[row + 1]) for shape in (shapes[0], usual)]
    return list(dict.fromkeys(sizes))


def _layers_text(drafts: list[_Draft]) -> str:
    texts = [
        ", ".join(f"{count} {name}" for name, count in draft.spec.layers.items())
        for draft in drafts
    ]
    return "; ".join(filter(None, texts)) or "not told"


def _file(package: Package, plan: EnginePlan) -> Path:
    return inside(package.path, f"engines/{plan.target.key}.engine")


def write_engine(file: Path, made: BuiltEngine, spec: EngineSpec) -> None:
    """Write an engine, what the inspector said, then the sidecar, each atomically."""
    file.parent.mkdir(exist_ok=True)
    layers, sidecar = file.with_suffix(".layers"), file.with_suffix(".json")
    with delay_stop_signal():
        for path in (sidecar, layers):  # those of the replaced engine
            path.unlink(missing_ok=True)
        write_file(file, made.engine)
        if made.layers.information:
            write_file(layers, made.layers.information)
        write_file(sidecar, engine_text(spec))
