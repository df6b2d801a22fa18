"""Read a foreign graph, and run it as it is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.installation import explain_missing

if TYPE_CHECKING:
    import onnx
    import onnxruntime

_FLOATS = {1: "float32", 10: "float16"}
"""Element types of ONNX that frames may have."""


@dataclass(frozen=True)
class OriginalGraph:
    """A graph with one input for frames and one output.

    Attributes:
        model: The graph, weights included.
        name: Name of its file.
        input: Name of the input.
        output: Name of the output for pictures: the first one that has the channels of some.
        shape: Lengths of the input's axes; None for free ones.
        is_half: Whether frames are float16.
    """

    model: onnx.ModelProto
    name: str
    input: str
    output: str
    shape: tuple[int | None, ...]
    is_half: bool

    def run(self, fed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run it on frames in its own form.

        Raises:
            MismatchError: ONNX Runtime does not run it on frames of this shape.
        """
        frames = fed.astype(np.float16) if self.is_half else fed
        try:
            (given,) = run_graph(self._session, [self.output], {self.input: frames})
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            said = " ".join(str(error).split())
            raise MismatchError(f"{self.name} does not run on {fed.shape}: {said}") from error
        return np.asarray(given, np.float32)

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        with explain_missing("onnxruntime"):
            import onnxruntime
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        try:
            return onnxruntime.InferenceSession(
                self.model.SerializeToString(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime's own exceptions share no base class
            said = " ".join(str(error).split())
            raise MismatchError(f"{self.name}: ONNX Runtime cannot load it: {said}") from error


def read_original(path: Path) -> OriginalGraph:
    """Read a graph and find its input and output.

    Raises:
        MissingDependencyError: onnx is not installed.
        SpecError: The file is not an ONNX file.
        MismatchError: It has several inputs, or takes no float pictures.
    """
    return original_of(load_graph(path), path.name)


def load_graph(path: Path) -> onnx.ModelProto:
    """Read an ONNX file; weights in files beside it are read, too.

    Raises:
        MissingDependencyError: onnx is not installed.
        SpecError: The file is not an ONNX file.
    """
    with explain_missing("onnx", extra="export"):
        import onnx
        from google.protobuf.message import DecodeError
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        model = onnx.load(str(path))
    except (DecodeError, ValueError, OSError, onnx.checker.ValidationError) as error:
        raise SpecError(f"{path} is not a complete ONNX file: {error}") from error
    if not model.graph.node:
        raise SpecError(f"{path} is not an ONNX file, or its graph is empty")
    _free_axes(model)
    return model


def _free_axes(model: onnx.ModelProto) -> None:
    """Free the axes of inputs and outputs that are written as 0 or -1, as Paddle writes them."""
    for value in (*model.graph.input, *model.graph.output):
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_value") and dim.dim_value <= 0:
                dim.ClearField("dim_value")


def original_of(model: onnx.ModelProto, name: str) -> OriginalGraph:
    """Find input and output of a graph; see `read_original`."""
    weights = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in weights]
    if len(inputs) != 1 or not model.graph.output:
        given = ", ".join(value.name for value in inputs) or "none"
        raise MismatchError(
            f"{name} has the inputs {given}; expected one, the frames: at its source, make a "
            "setting a constant, and export a network that carries a state for a window of frames"
        )
    tensor = inputs[0].type.tensor_type
    if not tensor.HasField("shape"):
        raise MismatchError(
            f"{name} does not say the shape of its input {inputs[0].name}; expected (N, C, H, W), "
            "or (N, T, C, H, W) for a window of frames: export it again with named axes"
        )
    if tensor.elem_type not in _FLOATS:
        raise MismatchError(
            f"{name}: its input {inputs[0].name} is {_type_name(tensor.elem_type)}; expected float "
            "frames, (N, C, H, W) or (N, T, C, H, W): export it again without the conversion at "
            "its start"
        )
    shape = tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value > 0 else None
        for dim in tensor.shape.dim
    )
    if len(shape) in (4, 5) and shape[0] not in (None, 1):
        raise MismatchError(
            f"{name} takes {shape[0]} at once only (its first axis is fixed); expected any number, "
            "or 1: export it again with a free first axis"
        )
    output = _output_for_pictures(model)
    elem_type = output.type.tensor_type.elem_type
    if elem_type not in (*_FLOATS, 0):  # 0: the file does not say it
        raise MismatchError(
            f"{name}: its output {output.name} is {_type_name(elem_type)}; "
            "expected float pictures: export it again without the conversion at its end"
        )
    return OriginalGraph(model, name, inputs[0].name, output.name, shape, tensor.elem_type == 10)


def _output_for_pictures(model: onnx.ModelProto) -> onnx.ValueInfoProto:
    """Return the first output that may be pictures; the very first if none may be."""
    outputs: list[onnx.ValueInfoProto] = list(model.graph.output)
    if len(outputs) == 1:
        return outputs[0]
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model).graph.output
    fitting = [one for one, known in zip(outputs, inferred, strict=True) if _may_be_pictures(known)]
    return (fitting or outputs)[0]


def _may_be_pictures(value: onnx.ValueInfoProto) -> bool:
    """Whether type and shape of an output are those of float pictures, as far as they are known."""
    tensor = value.type.tensor_type
    if tensor.elem_type not in (*_FLOATS, 0):
        return False
    axes = tensor.shape.dim
    if not axes:  # not known
        return True
    return len(axes) in (4, 5) and axes[-3].dim_value in (0, 1, 3)


def opset_of_model(model: Any) -> int:  # noqa: ANN401  onnx is not imported here
    """Version of the standard operator set of a graph."""
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    return int(max(versions, default=0))


def _type_name(elem_type: int) -> str:
    import onnx

    return str(onnx.TensorProto.DataType.Name(elem_type)).lower()
