"""Find the nodes of a network that overflow half precision on real frames."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from vsrc.export.graphs.half import to_half
from vsrc.export.graphs.half_emulation import UNROUNDED, as_rounded
from vsrc.runtime.backends.ort_run import run_graph

if TYPE_CHECKING:
    import onnx

Feeds = dict[str, NDArray[Any]]
"""Input of a graph -> its value."""

HALF_LIMIT = 65504.0
"""Largest half-precision number."""
HEADROOM = 2.0
"""Safety factor between values and the limit: other frames may be brighter."""
_MOST_ROUNDS = 20


@dataclass(frozen=True)
class Float32Node:
    """A node that stays in float32.

    Attributes:
        node: Name of the node in the graph.
        operator: Operator of the node.
        largest: Largest magnitude of its inputs and outputs on real frames; None if NaN.
    """

    node: str
    operator: str
    largest: float | None


def half_or_kept(
    model: onnx.ModelProto, feeds: Feeds, *, halve: Collection[str] = ()
) -> tuple[onnx.ModelProto, tuple[Float32Node, ...]]:
    """Return a half-precision copy whose values are all finite on these frames.

    Nodes that produce, or read, a value out of range stay in float32. Values out of range are
    found where they first appear; then the graph is converted again, as later nodes may now be in
    range.

    Args:
        model: float32 graph.
        feeds: Real frames in the graph's input format.
        halve: As in `to_half`.
    """
    originals = {node.name: node for node in model.graph.node}
    kept: dict[str, Float32Node] = {}
    for _ in range(_MOST_ROUNDS):
        half = type(model)()
        half.CopyFrom(model)
        to_half(half, keep=kept, halve=halve)
        offenders = _offenders(half, feeds)
        new = {
            name: size for name, size in offenders.items() if name in originals.keys() - kept.keys()
        }
        if not new:
            break
        for name, largest in new.items():
            size = largest if math.isfinite(largest) else None
            kept[name] = Float32Node(name, originals[name].op_type, size)
    order = [kept[name] for name in originals if name in kept]
    return half, tuple(order)


def _offenders(half: onnx.ModelProto, feeds: Feeds) -> dict[str, float]:
    """Names of the first nodes that produce or read a value out of range."""
    sizes = magnitudes(half, feeds)
    bad = {name for name, size in sizes.items() if not size <= HALF_LIMIT / HEADROOM}  # or NaN
    first: set[str] = set()
    tainted: set[str] = set()
    for node in half.graph.node:
        if tainted.intersection(node.input):
            tainted.update(node.output)
        elif bad.intersection(node.output):
            first |= bad.intersection(node.output)
            tainted.update(node.output)
    offenders: dict[str, float] = {}
    for node in half.graph.node:
        for name in first.intersection([*node.input, *node.output]):
            offenders[node.name] = sizes[name]
    return offenders


def magnitudes(half: onnx.ModelProto, feeds: Feeds) -> dict[str, float]:
    """Largest magnitude of each half value before rounding; NaN or inf if it has one.

    Args:
        half: A graph with half-precision values.
        feeds: Values of its inputs.
    """
    import onnx

    probe = as_rounded(half)
    names = []
    for node in list(probe.graph.node):
        names += [name for name in node.output if name.endswith(UNROUNDED)]
    del probe.graph.output[:]
    for name in names:
        parts = [f"{name}.{part}" for part in ("size", "largest", "sum")]
        probe.graph.node.extend(
            [
                onnx.helper.make_node("Abs", [name], parts[:1]),
                onnx.helper.make_node("ReduceMax", parts[:1], parts[1:2], keepdims=0),
                # ReduceMax ignores NaN; a sum does not.
                onnx.helper.make_node("ReduceSum", parts[:1], parts[2:], keepdims=0),
            ]
        )
        for part in parts[1:]:
            made = onnx.helper.make_tensor_value_info(part, onnx.TensorProto.FLOAT, [])
            probe.graph.output.append(made)
    answers = _run(probe, feeds)
    pairs = zip(names, answers[::2], answers[1::2], strict=True)
    return {
        name.removesuffix(UNROUNDED): largest if math.isfinite(total) else total
        for name, largest, total in pairs
    }


def _run(probe: onnx.ModelProto, feeds: Feeds) -> list[float]:
    from vsrc.runtime.backends.ort import open_ort

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "probe.onnx"
        path.write_bytes(probe.SerializeToString())
        session = open_ort(path, threads=0)
    taken = {value.name for value in session.get_inputs()}
    fed = {name: value for name, value in feeds.items() if name in taken}
    return [float(value) for value in run_graph(session, None, fed)]
