"""Cross-layer equalisation: balance the ranges of the channels between two convolutions.

    Conv ── Relu ── Conv           channel c of the first is divided by s[c], and the weights of
     / s             * s           the second that read it are multiplied by s[c]: the same
                                   function, because Relu commutes with positive factors

An int8 tensor has a single step, so a channel whose range is a tenth of another's uses a tenth of
the int8 values. Nagel et al. (ICCV 2019, section 4.1) balance the weights of both convolutions;
here weights already have a step for each output channel, so the ranges of channels on real frames
are balanced against the weights that read them (as SmoothQuant, Xiao et al., ICML 2023, section 4).

PRelu and LeakyRelu shrink what is negative, so the tensor before them can reach much further than
the one behind, and int8-cpu quantises both: there the further of the two counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.calibration_file import Equalised
from vsrc.calibration.convolutions import Convolution, convolutions

if TYPE_CHECKING:
    import onnx

    from vsrc.calibration.observer import Observer, Reach

USUAL_SHARE = 0.75
"""Share of the difference between channels that is moved into the weights that read them. On clips
outside the draw, 0.25 and 0.5 gained less on edge-s and the same on edvr-xs. With 1 no channel has
room to reach further than on the clips of the draw: ETDS lost 0.2 dB there."""
SHARES = (USUAL_SHARE, 0.5, 0.95)
"""Shares that are tried where windows that no range was found on judge them. On ETDS x2, 0.95 is
1.0 dB nearer to fp32 than the usual share for NVIDIA, and 1.4 dB for the CPU."""
_MOST = 20.0
"""Largest factor by which a channel with nearly zero activations is scaled up."""
_PASSING = ("Relu", "LeakyRelu", "PRelu")
_CUTTING = "Relu"
"""The one of them whose integer kernel gives only what is behind it."""


@dataclass(frozen=True)
class Pair:
    """Two convolutions with only an activation between them.

    Attributes:
        first: Convolution whose output channels are divided.
        second: Convolution that reads them.
        bias: Name of the first one's bias; empty without one.
        activation: Operator between them; empty without one.
    """

    first: Convolution
    second: Convolution
    bias: str
    activation: str = ""


def pairs(graph: onnx.GraphProto) -> list[Pair]:
    """List pairs of convolutions whose weights are not shared and whose tensors have one reader."""
    readers: dict[str, list[onnx.NodeProto]] = {}
    uses = Counter(name for node in graph.node for name in node.input)
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    results = {value.name for value in graph.output}
    known = {conv.node: conv for conv in convolutions(graph)}
    nodes = {node.name: node for node in graph.node}
    dims = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    listed = []
    for first in known.values():
        bias = [*nodes[first.node].input, ""][2]
        tensor, after, activation = first.output, readers.get(first.output, []), ""
        if len(after) == 1 and after[0].op_type in _PASSING and tensor not in results:
            activation = after[0].op_type
            tensor, after = after[0].output[0], readers.get(after[0].output[0], [])
        second = known.get(after[0].name) if len(after) == 1 else None
        if second is None or tensor in results or {first.op, second.op} != {"Conv"}:
            continue
        own = all(uses[name] == 1 for name in (first.weight, second.weight, bias or first.weight))
        if own and dims[second.weight][1] == dims[first.weight][0]:
            listed.append(Pair(first, second, bias, activation))
    return listed


def balance(
    model: onnx.ModelProto, observer: Observer, *, share: float = USUAL_SHARE
) -> dict[str, Equalised]:
    """Compute factors for each pair of a graph, and the resulting ranges.

    Args:
        model: The fp32 graph.
        observer: Observed ranges of its channels.
        share: Share of the difference between channels that is moved into weights, 0..1.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    factors = {}
    for pair in pairs(model.graph):
        between, given = observer.read[pair.second.key], observer.gave[pair.first.key]
        reach = np.maximum(np.abs(between[0]), np.abs(between[1]))
        if pair.activation != _CUTTING:
            reach = np.maximum(reach, np.maximum(np.abs(given[0]), np.abs(given[1])))
        weight = np.abs(numpy_helper.to_array(tensors[pair.second.weight])).max(axis=(0, 2, 3))
        scales = _factors(reach, weight.astype(np.float64), share)
        factors[pair.first.key] = Equalised(
            second=pair.second.key,
            scales=tuple(scales.tolist()),
            input=_range(between, scales),
            output=_range(given, scales),
        )
    return factors


def _factors(
    reach: NDArray[np.float64], weight: NDArray[np.float64], share: float
) -> NDArray[np.float64]:
    """Compute the divisor of each channel; the geometric mean of all is 1."""
    least = 1e-6 * max(float(reach.max()), 1e-30)
    factors = np.maximum(reach, least) ** share / np.maximum(weight, 1e-6) ** (1 - share)
    factors /= np.exp(np.log(factors).mean())
    # float32: short in the JSON file, and read back exactly.
    return np.asarray(np.clip(factors, 1 / _MOST, _MOST).astype(np.float32).astype(np.float64))


def _range(reach: Reach, scales: NDArray[np.float64]) -> tuple[float, float]:
    return float((reach[0] / scales).min()), float((reach[1] / scales).max())


def equalise(model: onnx.ModelProto, factors: Mapping[str, Equalised]) -> set[str]:
    """Balance channels in a graph (fp32 or fp16), in place; the function does not change.

    Returns:
        Module paths of the first convolution of each changed pair.
    """
    from onnx import numpy_helper

    tensors = {tensor.name: tensor for tensor in model.graph.initializer}

    def scale(name: str, factor: NDArray[np.float64]) -> None:
        value = numpy_helper.to_array(tensors[name])
        changed = (value.astype(np.float64) * factor).astype(value.dtype)
        tensors[name].CopyFrom(numpy_helper.from_array(changed, name))

    done = set()
    for pair in pairs(model.graph):
        chosen = factors.get(pair.first.key)
        if chosen is None or chosen.second != pair.second.key:
            continue
        scales = np.array(chosen.scales)
        scale(pair.first.weight, 1 / scales[:, None, None, None])
        if pair.bias:
            scale(pair.bias, 1 / scales)
        scale(pair.second.weight, scales[None, :, None, None])
        done.add(pair.first.key)
    return done
