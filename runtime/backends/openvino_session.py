"""Run a graph on the CPU with OpenVINO's own API, on CPUs of any maker.

OpenVINO's plugin for ONNX Runtime (`ort_plugin`) takes devices of Intel alone.
"""

from __future__ import annotations

import queue
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.lane_trial import LanePlan
from vsrc.runtime.backends.ort import run_errors_named
from vsrc.runtime.errors import MismatchError, describe_error
from vsrc.runtime.installation import explain_missing
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import from_graph, to_graph
from vsrc.runtime.windows.session import PendingPixels, check_windows
from vsrc.runtime.windows.state_session import CarriedState, HostState, StateArrays

if TYPE_CHECKING:
    import openvino

NAME = "openvino"
PRECISIONS = ("int8-cpu", "fp32")
"""Names of graphs, the fastest first."""

Arrays = dict[str, NDArray[Any]]


class CompiledGraph:
    """A graph compiled for the CPU, which several threads may run at the same time.

    Args:
        path: Path of the ONNX file.
        precision: Precision of the arithmetic: `bf16`, or that of the graph.
        plan: Number of runs at the same time, and of threads in all.

    Raises:
        MissingDependencyError: OpenVINO is not installed.
        MismatchError: It cannot load the graph.
    """

    def __init__(self, path: Path, *, precision: str, plan: LanePlan) -> None:
        with explain_missing("openvino", extra="openvino"):
            import openvino
        settings = {
            # Its default is bf16 where the CPU has it, whatever the graph says.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "INFERENCE_NUM_THREADS": plan.threads,
            "NUM_STREAMS": plan.lanes,
            # Decoding and encoding need the cores, too.
            "ENABLE_CPU_PINNING": False,
        }
        try:
            core = openvino.Core()
            self._model: openvino.CompiledModel | None = core.compile_model(
                core.read_model(path), "CPU", settings
            )
        except Exception as error:  # OpenVINO raises RuntimeError for everything
            raise MismatchError(
                f"{path}: OpenVINO cannot load the graph: {describe_error(error)}"
            ) from error
        self._label = f"openvino {precision}"
        self._idle: queue.SimpleQueue[openvino.InferRequest] = queue.SimpleQueue()

    @property
    def inputs(self) -> dict[str, np.dtype[Any]]:
        """Name of each input -> its type."""
        return {
            port.get_any_name(): np.dtype(port.get_element_type().to_dtype())
            for port in self._opened().inputs
        }

    def run(self, feeds: Arrays) -> Arrays:
        """Run the graph; may be called from several threads."""
        model = self._opened()
        try:
            request = self._idle.get_nowait()
        except queue.Empty:
            request = model.create_infer_request()
        run_errors_named(lambda: request.infer(feeds), self._label)
        # The memory of a request is used again by its next run.
        outputs = {
            port.get_any_name(): request.get_tensor(port).data.copy() for port in model.outputs
        }
        self._idle.put(request)
        return outputs

    def close(self) -> None:
        """Free the graph; a second call has no effect."""
        self._model = None
        self._idle = queue.SimpleQueue()

    def _opened(self) -> openvino.CompiledModel:
        if self._model is None:
            raise RuntimeError("the session was closed")
        return self._model


class OpenVinoSession:
    """OpenVINO, behind the `Session` protocol."""

    def __init__(
        self, path: Path, *, network: NetworkSpec, graph: GraphSpec, plan: LanePlan
    ) -> None:
        self.network, self.graph, self.label = network, graph, label_of(graph)
        self._compiled = CompiledGraph(path, precision=graph.precision, plan=plan)

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows `(N, T, H, W, 3)`; see `Session`."""
        check_windows(lr, self.network, self.graph)
        fed = to_graph(lr, self.network, self.graph)
        sr = self._compiled.run({"lr": np.ascontiguousarray(fed)})["sr"]
        return from_graph(sr, self.network, self.graph, like=lr)

    def close(self) -> None:
        """Free the graph."""
        self._compiled.close()


class OpenVinoSteps:
    """A network with a state on OpenVINO, behind the `Steps` protocol."""

    ahead, at_once = 0, 1

    def __init__(
        self, path: Path, *, network: NetworkSpec, graph: GraphSpec, plan: LanePlan
    ) -> None:
        self.network, self.graph, self.label = network, graph, label_of(graph)
        self._compiled = CompiledGraph(path, precision=graph.precision, plan=plan)

    def step(self, lr: Pixels, state: CarriedState | None, /) -> tuple[PendingPixels, CarriedState]:
        """Upscale one frame; see `Steps`."""
        fed = np.ascontiguousarray(to_graph(lr, self.network, self.graph))
        maps = self._zeros(lr) if state is None else state.arrays()
        outputs = self._compiled.run({"lr": fed, **maps})
        following = {name: outputs[f"next_{name}"] for name in maps}
        picture = from_graph(outputs["sr"], self.network, self.graph, like=lr)
        return lambda: picture, HostState(following)

    def close(self) -> None:
        """Free the graph."""
        self._compiled.close()

    def _zeros(self, lr: Pixels) -> StateArrays:
        height, width = lr.shape[2:4]
        kinds = self._compiled.inputs
        return {
            each.name: np.zeros(each.shape(height, width), kinds[each.name])
            for each in self.network.state
            if each.name in kinds
        }


def label_of(graph: GraphSpec) -> str:
    """Label of a session on OpenVINO."""
    return f"{NAME} {graph.precision}{'-float' if graph.io == 'float' else ''}"
