"""Check a loaded graph against its description: what it declares, and what it does with a frame.

A description that does not belong to its graph would give a wrong picture without an error (a part
of it, if the scale is another) or an error from deep inside a library at the first frame.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.errors import MismatchError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import padded_size

if TYPE_CHECKING:
    import onnxruntime

_TRIAL_PX = 16
"""Side of the frame that is tried, where the graph takes it."""

_LARGEST_TRIAL_PX = 128 * 128
"""Area above which nothing is tried: the first window is checked in any case."""

Shape = Sequence[int | str | None]
"""Declared shape of an input: None or a name for an axis that is not fixed."""


def check_declared(
    path: object, session: onnxruntime.InferenceSession, network: NetworkSpec, graph: GraphSpec
) -> None:
    """Compare the inputs and outputs that a whole graph declares with its description.

    Args:
        path: Path of the graph, for messages.
        session: Loaded graph.
        network: Description of its network.
        graph: Description of the graph.

    Raises:
        MismatchError: They differ.
    """
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name for value in session.get_outputs()}
    state = {each.name for each in network.state}
    if "lr" not in inputs or inputs.keys() - {"lr"} - state:
        _refuse(path, f"its inputs are {_names(inputs)}", f"lr {_names(sorted(state))}")
    if missing := {"sr", *(each.next_name for each in network.state)} - outputs:
        _refuse(path, f"its outputs are {_names(outputs)}", f"{_names(sorted(missing))}, too")
    lr = inputs["lr"]
    kind = "tensor(uint8)" if graph.io == "uint8" else "tensor(float)"
    if lr.type != kind:
        _refuse(path, f"its input is a {lr.type}", f"a {kind}")
    _check_shape(path, lr.shape, network, graph)


def _check_shape(path: object, shape: Shape, network: NetworkSpec, graph: GraphSpec) -> None:
    axes: dict[str, tuple[int, tuple[int, int]]]
    if graph.io == "uint8":
        rank, axes = 5, {"T": (1, (network.window,) * 2), "H": (2, graph.height)}
        axes |= {"W": (3, graph.width), "colours": (4, (3, 3))}
    elif graph.layout == "stacked":
        rank, axes = 4, {"colours": (1, (3 * network.window,) * 2), "H": (2, graph.height)}
        axes |= {"W": (3, graph.width)}
    else:
        rank, axes = 5, {"T": (1, (network.window,) * 2), "colours": (2, (3, 3))}
        axes |= {"H": (3, graph.height), "W": (4, graph.width)}
    if len(shape) != rank:
        _refuse(path, f"its input has {len(shape)} axes", f"{rank}")
    for name, (axis, (low, high)) in axes.items():
        size = shape[axis]
        if isinstance(size, int) and not (low == size == high):
            # A fixed axis takes one size, so the description must say that one.
            described = str(low) if low == high else f"{low} to {high}"
            _refuse(path, f"its input has {name}={size}", described)


def check_run(
    path: object,
    upscale: Callable[[Pixels], Pixels],
    network: NetworkSpec,
    graph: GraphSpec,
) -> None:
    """Upscale one small black window, whose result `check_output` compares with the description.

    Args:
        path: Path of the graph, for messages.
        upscale: Function from windows to their results; it checks the output.
        network: Description of the network.
        graph: Description of the graph.

    Raises:
        MismatchError: The graph cannot be run as described.
    """
    least = (graph.height[0], graph.width[0])
    height, width = padded_size((_TRIAL_PX, _TRIAL_PX), multiple=network.size_multiple, least=least)
    height, width = min(height, graph.height[1]), min(width, graph.width[1])
    if height * width > _LARGEST_TRIAL_PX:
        return
    try:
        upscale(np.zeros((1, network.window, height, width, 3), np.uint8))
    except MismatchError as error:
        raise MismatchError(f"{path}: {error}") from error


def _refuse(path: object, found: str, described: str) -> None:
    raise MismatchError(
        f"{path}: {found}, and its description means {described}: the package was changed or made "
        "for another graph; export it again"
    )


def _names(names: Mapping[str, object] | Sequence[str] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
