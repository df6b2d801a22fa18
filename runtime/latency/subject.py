"""Open the subject of a measurement: a package, a single graph, or an engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.device_stages import DeviceStages
from vsrc.runtime.backends.device.device_steps import DeviceSteps
from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.sections import SubjectKind
from vsrc.runtime.schema import from_json
from vsrc.runtime.spec import GraphSpec, NetworkSpec, Quality
from vsrc.runtime.windows.state_session import StateSession

if TYPE_CHECKING:
    import onnxruntime

    from vsrc.runtime.windows.session import Session

METADATA_KEY = "vsrc"
ENGINE_SUFFIXES = (".engine", ".plan", ".trt")
_NUMPY = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
    "tensor(uint8)": np.uint8,
    "tensor(int8)": np.int8,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}


@dataclass(frozen=True)
class BenchSubject:
    """An opened package, graph or engine, ready to be measured.

    Attributes:
        kind: Kind of the subject: package, graph or engine.
        name: Name of the network, or of the file.
        label: Label of the session.
        graph_file: Path of the graph, relative to the package that holds it.
        graph_sha256: Hash of the graph.
        precision: Precision of the graph; None where unknown.
        graph: Path of the ONNX file, for profiling; None if no ONNX file runs.
        feeds: Input name -> array fed to that file.
        run: Upscale one frame.
        network: Network described in the graph's metadata; None for a graph not written by vsrc.
        quality: Quality scores recorded in the package.
        session: Session for the whole pipeline; None if its inputs are not frames.
        close: Release all resources.
        on_device: Times the stages on a device for at most the given seconds; None where there is
            no device or it cannot report times.
        build_ms: Time to build the engine, ms; None if there is none.
    """

    kind: SubjectKind
    name: str
    label: str
    graph_file: str
    graph_sha256: str
    precision: str | None
    graph: Path | None
    feeds: dict[str, NDArray[Any]]
    run: Callable[[], NDArray[Any]]
    network: NetworkSpec | None
    quality: tuple[Quality, ...]
    session: Session | None
    close: Callable[[], None]
    on_device: Callable[[float], DeviceStages] | None = None
    build_ms: float | None = None


def open_subject(config: BenchConfig) -> BenchSubject:
    """Open the package, graph or engine `config.model`.

    Raises:
        SpecError: It is missing or damaged.
        MismatchError: It cannot be run, or does not accept frames of this shape.
    """
    path = config.model
    assert path is not None
    if path.suffix.lower() in ENGINE_SUFFIXES:
        return _open_engine(path, config)
    if path.is_file() and path.suffix.lower() == ".onnx":
        return _open_graph(path, config)
    return _open_package(path, config)


def _open_package(path: Path, config: BenchConfig) -> BenchSubject:
    from vsrc.runtime.backends.opening import open_session
    from vsrc.runtime.package import open_package

    package = open_package(path)
    session = open_session(
        package,
        backend=config.backend,
        precision=config.precision,
        threads=config.threads,
        device=config.device,
    )
    graphs = package.spec.graphs
    name = next((key for key, graph in graphs.items() if graph.file == session.graph.file), None)
    path_of_graph = None if name is None else package.graph(name)[0]
    return _of_session("package", session, config, path_of_graph, package.spec.quality)


def _open_graph(path: Path, config: BenchConfig) -> BenchSubject:
    from vsrc.runtime.backends.opening import open_ort_graph
    from vsrc.runtime.backends.ort import open_ort

    if config.backend not in ("auto", "ort"):
        raise MismatchError(f"{path}: a single graph runs on ort, not on {config.backend}")
    session = open_ort(path, threads=config.threads)
    description = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if description:
        network, graph = read_description(path, description)
        if graph.io == "uint8" and graph.role == "whole":
            ort_session = open_ort_graph(path, network=network, graph=graph, threads=config.threads)
            return _of_session("graph", ort_session, config, path, ())
    return _foreign(path, session, config)


def _of_session(
    kind: SubjectKind,
    session: Session,
    config: BenchConfig,
    graph: Path | None,
    quality: tuple[Quality, ...],
) -> BenchSubject:
    check_shape(config.shape, session.graph)
    shape = (1, session.network.window, *config.shape, 3)
    lr = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    feeds, run = _feeds_and_run(session, lr)
    runs = session.steps if isinstance(session, StateSession) else session
    device = runs if isinstance(runs, (DeviceSession, DeviceSteps)) else None
    build_seconds = device.build_seconds if device else None
    return BenchSubject(
        kind=kind,
        name=session.network.name,
        label=session.label,
        graph_file=session.graph.file,
        graph_sha256=session.graph.sha256,
        precision=session.graph.precision,
        graph=graph,
        feeds=feeds,
        run=run,
        network=session.network,
        quality=quality,
        session=session,
        close=session.close,
        on_device=(lambda seconds: device.stages(lr, seconds=seconds)) if device else None,
        build_ms=None if build_seconds is None else build_seconds * 1000,
    )


def _feeds_and_run(
    session: Session, lr: NDArray[Any]
) -> tuple[dict[str, NDArray[Any]], Callable[[], NDArray[Any]]]:
    """Inputs of the graph, and a function that upscales a frame: with a state, within a shot."""
    if not isinstance(session, StateSession):
        return {"lr": lr}, lambda: session(lr)
    session.start(lr)()
    return {"lr": lr, **(session.state() or {})}, lambda: session.start(lr)()


def _open_engine(path: Path, config: BenchConfig) -> BenchSubject:
    from vsrc.runtime.latency.engine_subject import open_engine

    opened = open_engine(path, config)
    spec, bare = opened.spec, opened.bare
    if opened.session is not None and opened.package is not None:
        quality = opened.package.spec.quality
        return _of_session("engine", opened.session, config, None, quality)
    assert bare is not None
    return BenchSubject(
        kind="engine",
        name=path.stem,
        label=f"{spec.target.backend} {spec.target.precision}",
        graph_file=path.name,
        graph_sha256=spec.target.graph_sha256,
        precision=spec.target.precision,
        graph=None,
        feeds=bare.feeds,
        run=bare.run,
        network=None,
        quality=(),
        session=None,
        close=bare.close,
        on_device=lambda seconds: bare.stages(seconds=seconds),
        build_ms=spec.build_seconds * 1000,
    )


def read_description(path: Path, description: str) -> tuple[NetworkSpec, GraphSpec]:
    """Parse the metadata that vsrc wrote into a graph."""
    try:
        data = json.loads(description)
        network, graph = data["network"], data["graph"]
    except (ValueError, KeyError, TypeError) as error:
        raise SpecError(f"{path}: its metadata is not readable: {error!r}") from error
    file = {"file": path.name, "sha256": file_sha256(path), "size_bytes": path.stat().st_size}
    where = f"{path} (metadata)"
    known = {field: graph[field] for field in GraphSpec.__dataclass_fields__ if field in graph}
    return from_json(NetworkSpec, network, where=where), from_json(
        GraphSpec, {**known, **file}, where=where
    )


def _foreign(
    path: Path, session: onnxruntime.InferenceSession, config: BenchConfig
) -> BenchSubject:
    """Open a graph not written by vsrc; every input is fed noise of its shape."""
    generator = np.random.default_rng(0)
    feeds = {
        value.name: _noise(path, value.name, value.type, value.shape, config.shape, generator)
        for value in session.get_inputs()
    }

    def run() -> NDArray[Any]:
        return np.asarray(run_graph(session, None, feeds)[0])

    return BenchSubject(
        kind="graph",
        name=path.stem,
        label="ort-cpu",
        graph_file=path.name,
        graph_sha256=file_sha256(path),
        precision=None,
        graph=path,
        feeds=feeds,
        run=run,
        network=None,
        quality=(),
        session=None,
        close=lambda: None,
    )


def _noise(
    path: Path,
    name: str,
    kind: str,
    declared: list[Any],
    frame: tuple[int, int],
    generator: np.random.Generator,
) -> NDArray[Any]:
    if kind not in _NUMPY:
        raise MismatchError(f"{path}: input {name} is a {kind}, for which no noise can be made")
    shape = _fill_axes(path, name, declared, frame)
    dtype = np.dtype(_NUMPY[kind])
    if dtype.kind == "f":
        return generator.random(shape, dtype=np.float32).astype(dtype)
    return generator.integers(0, 2 if dtype.kind == "b" else 127, shape).astype(dtype)


def _fill_axes(path: Path, name: str, declared: list[Any], frame: tuple[int, int]) -> list[int]:
    """Fill the free axes of a declared shape: H and W from the frame, 1 for all others."""
    shape = [axis if isinstance(axis, int) and axis > 0 else None for axis in declared]
    if len(shape) >= 4:
        last = len(shape) - 2 if shape[-1] in (1, 3, 4) else len(shape) - 1  # (..., H, W, C)?
        for axis, size in zip((last - 1, last), frame, strict=True):
            if shape[axis] not in (None, size):
                raise MismatchError(
                    f"{path}: axis {axis} of input {name} is {shape[axis]}, not {size}; choose "
                    f"another --shape"
                )
            shape[axis] = size
    return [1 if axis is None else axis for axis in shape]


def check_shape(shape: tuple[int, int], graph: GraphSpec) -> None:
    """Check that the graph accepts a frame size without padding, which would distort the timing.

    Raises:
        MismatchError: The graph does not accept the shape.
    """
    for axis, size, (least, most) in zip("HW", shape, (graph.height, graph.width), strict=True):
        if not least <= size <= most:
            takes = f"{least} only" if least == most else f"{least} to {most}"
            raise MismatchError(
                f"{axis}={size} is not a size that {graph.file} accepts ({takes} LR pixels); "
                "choose another --shape, or export the package for this one"
            )
