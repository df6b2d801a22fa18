"""Let TensorRT's inspector describe the layers of an engine that was just built."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsrc.export.checks.layer_precisions import convolution_precisions
from vsrc.runtime.backends.device.engine_file import ProfileShapes

if TYPE_CHECKING:
    import tensorrt as trt


@dataclass(frozen=True)
class LayerReport:
    """What the inspector says about an engine.

    Attributes:
        information: Its JSON text as it is; empty if there is none.
        problem: Why there is none; empty if there is one, or if none was asked for.
    """

    information: str = ""
    problem: str = ""

    @property
    def convolutions(self) -> dict[str, int]:
        """Number of convolutions by precision; see `convolution_precisions`."""
        return convolution_precisions(self.information)


def inspect_layers(
    module: Any,  # noqa: ANN401  a module
    logger: trt.ILogger,
    engine: bytes,
    shapes: ProfileShapes,
) -> LayerReport:
    """Ask the inspector about an engine, at its usual shapes; any failure becomes `problem`.

    Args:
        module: Module of TensorRT.
        logger: Logger of the build.
        engine: Serialised engine.
        shapes: Shapes of its inputs.
    """
    try:
        runtime: trt.Runtime = module.Runtime(logger)
        loaded = runtime.deserialize_cuda_engine(engine)
        if loaded is None:
            return LayerReport(problem="TensorRT cannot load the engine that it has just built")
        inspector = loaded.create_engine_inspector()
        context = _context(loaded, shapes)
        if context is not None:  # formats depend on the shapes, and are not told without them
            inspector.execution_context = context
        return LayerReport(inspector.get_engine_information(module.LayerInformationFormat.JSON))
    except Exception as error:  # whatever the inspector does, the engine has been built
        return LayerReport(problem=" ".join(f"{type(error).__name__}: {error}".split()))


def _context(engine: trt.ICudaEngine, shapes: ProfileShapes) -> trt.IExecutionContext | None:
    """Create a context at the usual shapes; None without a profile, or without the memory."""
    if all(len(of_one) == 1 for of_one in shapes.values()):
        return None
    context: trt.IExecutionContext | None = engine.create_execution_context()
    if context is None:
        return None
    for name, of_one in shapes.items():
        if not context.set_input_shape(name, of_one[len(of_one) // 2]):
            return None
    return context
