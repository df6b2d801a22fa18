"""Operators that all of TensorRT 8.6 to 11 support, and reasons to reject others.

NVIDIA's newer parsers support more than those of a Jetson, so a graph that builds here may not
build there. Sources: the operator tables of the parsers of 8.6, 10.3 and 10.13, and builds with
TensorRT for RTX 1.7.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    import onnx

MOST_OPSET = 20
"""Newest opset of TensorRT 10.0; later releases support later ones."""

_NAMES = (
    "Abs Add And ArgMax ArgMin AveragePool BatchNormalization Cast Ceil Clip Concat Constant "
    "ConstantOfShape Conv ConvTranspose Cos CumSum DepthToSpace DequantizeLinear Div Einsum Elu "
    "Equal Erf Exp Expand Flatten Floor Gather GatherElements GatherND Gemm "
    "GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample "
    "HardSigmoid HardSwish Identity InstanceNormalization LayerNormalization LeakyRelu Less "
    "LessOrEqual Log LogSoftmax MatMul Max MaxPool Mean Min Mod Mul Neg Not Or PRelu Pad Pow "
    "QuantizeLinear Range Reciprocal ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin "
    "ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Round Selu ScatterND Shape "
    "Sigmoid Sign Sin Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum "
    "Tan Tanh Tile TopK Transpose Unsqueeze Where "
)
ALLOWED = frozenset(_NAMES.split())

_REASONS = {
    "AffineGrid": "write the positions with Range, Mul and Add",
    "Col2Im": "use ConvTranspose or DepthToSpace",
    "Gelu": "not in TensorRT 8.6: use Erf",
    "GroupNormalization": "not in TensorRT 8.6: use InstanceNormalization",
    "DeformConv": "no parser supports it: use GridSample, as vsrc's own networks do",
    "If": "branches on computed values cannot be built into one engine of fixed work",
    "Loop": "unroll it when tracing",
    "Scan": "unroll it when tracing",
    "LSTM": "write its gates as convolutions or products",
    "GRU": "write its gates as convolutions or products",
    "NonZero": "the size of its result depends on values",
    "ScatterElements": "not supported with a reduction: use ScatterND or multiply by a mask",
    "RoiAlign": "write it with GridSample",
}


def find_refused_operators(model: onnx.ModelProto) -> tuple[str, ...]:
    """Describe what a Jetson's TensorRT would reject, one sentence each; empty if nothing."""
    reasons: dict[str, None] = {}
    for opset in model.opset_import:
        if opset.domain in ("", "ai.onnx") and opset.version > MOST_OPSET:
            reasons[_opset_reason(opset.version)] = None
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in _infer_values(model)}
    for node in model.graph.node:
        reason = _reason(node, ranks)
        if reason:
            reasons[f"{node.op_type} ({node.name or 'unnamed'}): {reason}"] = None
    return tuple(reasons)


def refuse_opset(path: Path, opset: int) -> None:
    """Reject a graph whose opset is too new, before TensorRT is looked for.

    Args:
        path: File or package of the graph, for the message.
        opset: Version of its operator set.

    Raises:
        MismatchError: TensorRT 10.0 does not read it.
    """
    if opset > MOST_OPSET:
        raise MismatchError(f"{path.name} is not for TensorRT 8.6 to 11: {_opset_reason(opset)}")


def refuse_operators(path: Path) -> None:
    """Reject a graph whose build would fail on some device.

    Raises:
        MismatchError: The graph holds an operator that is not allowed.
    """
    import onnx

    refused = find_refused_operators(onnx.load(str(path), load_external_data=False))
    if refused:
        more = f" (and {len(refused) - 1} more: vsrc inspect {path})" if len(refused) > 1 else ""
        raise MismatchError(f"{path.name} is not for TensorRT 8.6 to 11: {refused[0]}{more}")


def _opset_reason(opset: int) -> str:
    return (
        f"opset {opset} is newer than {MOST_OPSET}, the newest that TensorRT 10.0 reads: export "
        "with --opset 18, a graph of another program anew at its source"
    )


def _reason(node: onnx.NodeProto, ranks: dict[str, int]) -> str:
    if node.domain not in ("", "ai.onnx"):
        return f"it is of the domain {node.domain}, which NVIDIA's parsers do not know"
    if node.op_type not in ALLOWED:
        return _REASONS.get(node.op_type, "some TensorRT from 8.6 to 11 lacks it")
    flags = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type == "Resize" and "antialias" in flags and flags["antialias"].i:
        return "TensorRT has no antialiased resize: set antialias to 0"
    if node.op_type == "GridSample" and ranks.get(node.input[0], 4) != 4:
        return "TensorRT before 11.2.1 supports 4-D inputs only"
    return ""


def _infer_values(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    import onnx

    graph = onnx.shape_inference.infer_shapes(model).graph
    return [*graph.value_info, *graph.input]
