"""A network with a state on ONNX Runtime; the state stays in the memory of the provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vsrc.runtime.backends.ort import OrtGraph, run_errors_named
from vsrc.runtime.backends.ort_run import run_bound
from vsrc.runtime.backends.ort_state import zero_arrays
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.graph_io import from_graph, to_graph
from vsrc.runtime.windows.session import PendingPixels
from vsrc.runtime.windows.state_session import CarriedState, StateArrays

if TYPE_CHECKING:
    import onnxruntime


class OrtSteps(OrtGraph):
    """ONNX Runtime, behind the `Steps` protocol."""

    ahead, at_once = 0, 1

    def step(self, lr: Pixels, state: CarriedState | None, /) -> tuple[PendingPixels, CarriedState]:
        """Upscale one frame; see `Steps`."""
        session, fed = self.opened, to_graph(lr, self.network, self.graph)
        values = state.values if isinstance(state, OrtState) else self._place(state, lr)
        binding = session.io_binding()
        binding.bind_cpu_input("lr", fed)
        for name, value in values.items():
            binding.bind_ortvalue_input(name, value)
        binding.bind_output("sr")
        for each in self.network.state:
            binding.bind_output(each.next_name, self.memory)
        run_errors_named(lambda: run_bound(session, binding), self.label)
        sr, *following = binding.get_outputs()
        names = [each.name for each in self.network.state]
        kept = {
            name: value
            for name, value in zip(names, following, strict=True)
            if name in values  # a map that the graph does not read again is of no use
        }
        picture = from_graph(sr.numpy(), self.network, self.graph, like=lr)
        return lambda: picture, OrtState(kept)

    def _place(self, state: CarriedState | None, lr: Pixels) -> dict[str, onnxruntime.OrtValue]:
        """Copy a state, or zeros, to the memory of the provider."""
        import onnxruntime

        if state is None:
            height, width = lr.shape[2:4]
            network = self.network.state
            arrays = zero_arrays(self.opened, network, count=1, height=height, width=width)
        else:
            arrays = state.arrays()
        place = onnxruntime.OrtValue.ortvalue_from_numpy
        return {name: place(array, self.memory, 0) for name, array in arrays.items()}


@dataclass(frozen=True, eq=False)
class OrtState:
    """A state in the memory of a provider."""

    values: dict[str, onnxruntime.OrtValue]

    def arrays(self) -> StateArrays:
        """Copy the maps to host memory."""
        return {name: value.numpy().copy() for name, value in self.values.items()}
