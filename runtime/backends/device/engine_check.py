"""Compare the tensors of a loaded engine with the description of its network and graph.

A sidecar or `model.json` that does not belong to the engine would give a wrong picture, or let the
device read memory beyond a tensor. Names and types are compared, then the shapes of all outputs for
the smallest and the largest frames that the engine is said to take. Nothing is run.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from vsrc.runtime.backends.device.gpu import Engine
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import check_output, padded_size

_Types = dict[str, np.dtype[Any]]
_Shapes = dict[str, tuple[int, ...]]


def check_whole(path: Path, engine: Engine, network: NetworkSpec, graph: GraphSpec) -> None:
    """Check the engine of a whole network.

    Args:
        path: Path of the engine, for messages.
        engine: Loaded engine.
        network: Description of its network.
        graph: Description of its graph, with the sizes that the engine accepts.

    Raises:
        MismatchError: It is not what they describe.
    """
    states = {state.name: state.next_name for state in network.state}
    _check_names(path, "inputs", engine.inputs, needed={"lr"}, also=states)
    _check_names(path, "outputs", engine.outputs, needed={"sr", *states.values()})
    _check_type(path, "lr", engine.inputs["lr"], np.uint8 if graph.io == "uint8" else np.float32)
    for name in states.keys() & engine.inputs.keys():
        _check_type(path, states[name], engine.outputs[states[name]], engine.inputs[name])
    for height, width in _end_sizes(network, graph):
        maps = {each.name: each.shape(height, width) for each in network.state}
        fed = {name: shape for name, shape in maps.items() if name in engine.inputs}
        shapes = _reshape(path, engine, {"lr": _window(network, graph, height, width)} | fed)
        _check_picture(path, engine, shapes, network, graph, (height, width))
        for name, shape in maps.items():
            _check_shape(path, states[name], shapes[states[name]], shape)


def check_halves(
    paths: tuple[Path, Path],
    engines: tuple[Engine, Engine],
    network: NetworkSpec,
    graph: GraphSpec,
) -> None:
    """Check an encode and a fuse engine, and that the second reads what the first writes.

    Args:
        paths: Paths of the encode and of the fuse engine, for messages.
        engines: The loaded engines.
        network: Description of their network.
        graph: Description of the encode graph, with the sizes that both engines accept.

    Raises:
        MismatchError: They are not what is described.
    """
    encode, fuse = engines
    names = {feature.name for feature in graph.features}
    _check_names(paths[0], "inputs", encode.inputs, needed={"lr"})
    _check_names(paths[0], "outputs", encode.outputs, needed=names)
    _check_names(paths[1], "inputs", fuse.inputs, needed=names, also={"centre"})
    _check_names(paths[1], "outputs", fuse.outputs, needed={"sr"})
    _check_type(paths[0], "lr", encode.inputs["lr"], np.uint8)
    for name in names:
        _check_type(paths[1], name, fuse.inputs[name], encode.outputs[name])
    if "centre" in fuse.inputs:
        _check_type(paths[1], "centre", fuse.inputs["centre"], np.uint8)
    runs = network.window - graph.encoded_frames + 1
    frames = (graph.encoded_frames,) if graph.encoded_frames > 1 else ()
    for height, width in _end_sizes(network, graph):
        maps = {
            feature.name: (feature.channels, height // feature.stride, width // feature.stride)
            for feature in graph.features
        }
        shapes = _reshape(paths[0], encode, {"lr": (1, *frames, height, width, 3)})
        for name, shape in maps.items():
            _check_shape(paths[0], name, shapes[name], (1, *shape))
        fed: _Shapes = {name: (1, runs, *shape) for name, shape in maps.items()}
        if "centre" in fuse.inputs:
            fed["centre"] = (1, height, width, 3)
        shapes = _reshape(paths[1], fuse, fed)
        _check_picture(paths[1], fuse, shapes, network, graph, (height, width))


def _end_sizes(network: NetworkSpec, graph: GraphSpec) -> Iterable[tuple[int, int]]:
    """H and W of the smallest and the largest frames, LR pixels, multiples of what it requires."""
    multiple = network.size_multiple
    least = padded_size((graph.height[0], graph.width[0]), multiple=multiple)
    most = (graph.height[1] // multiple * multiple, graph.width[1] // multiple * multiple)
    return dict.fromkeys((least, (max(least[0], most[0]), max(least[1], most[1]))))


def _window(network: NetworkSpec, graph: GraphSpec, height: int, width: int) -> tuple[int, ...]:
    """Shape of the input for a batch of the smallest size; see `to_graph`."""
    count = graph.batch[0]
    if graph.io == "uint8":
        return count, network.window, height, width, 3
    if graph.layout == "stacked":
        return count, 3 * network.window, height, width
    return count, network.window, 3, height, width


def _reshape(path: Path, engine: Engine, shapes: _Shapes) -> _Shapes:
    try:
        return engine.reshape(shapes)
    except MismatchError as error:
        raise MismatchError(f"{path.name} is not what its description says: {error}") from error


def _check_picture(
    path: Path,
    engine: Engine,
    shapes: _Shapes,
    network: NetworkSpec,
    graph: GraphSpec,
    size: tuple[int, int],
) -> None:
    """Check shape and type of `sr` for frames of a size as `check_output` does, without pixels."""
    sr = np.broadcast_to(np.zeros((), engine.outputs["sr"]), shapes["sr"])
    like = np.broadcast_to(np.uint8(0), (1, network.window, *size, 3))
    try:
        check_output(sr, network, graph, like=like)
    except MismatchError as error:
        raise MismatchError(f"{path.name}: {error}") from error


def _check_names(
    path: Path, kind: str, found: _Types, *, needed: set[str], also: Iterable[str] = ()
) -> None:
    if not needed <= found.keys() or (kind == "inputs" and found.keys() - needed - set(also)):
        _refuse(path, f"its {kind} are {_names(found)}", _names(needed | set(also)))


def _check_type(path: Path, name: str, found: np.dtype[Any], described: Any) -> None:  # noqa: ANN401
    if found != np.dtype(described):
        _refuse(path, f"its {name} is {found}", str(np.dtype(described)))


def _check_shape(path: Path, name: str, found: tuple[int, ...], described: tuple[int, ...]) -> None:
    if found != described:
        _refuse(path, f"its {name} is {found}", str(described))


def _refuse(path: Path, found: str, described: str) -> NoReturn:
    raise MismatchError(
        f"{path.name}: {found}, and its description means {described}: the package was changed, or "
        "the engine made for another graph; build it again: vsrc export --overwrite"
    )


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "none"
