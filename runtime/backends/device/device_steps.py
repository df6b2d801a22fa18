"""A network with a state on a device; the state does not leave it.

At the next step the state is copied on the device, so its addresses stay the same and a step can be
captured as a graph:

    step t      state ──┐
                lr ─────┴─ engine ─┬─ sr
                                   └─ next_state
    step t+1    state ◄────────────────┘
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device.device_network import DeviceNetwork
from vsrc.runtime.backends.device.device_programs import DevicePrograms
from vsrc.runtime.backends.device.device_stages import DeviceStages
from vsrc.runtime.backends.device.program import Program, TensorShapes
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.graph_io import to_graph
from vsrc.runtime.windows.session import PendingPixels
from vsrc.runtime.windows.state_session import CarriedState, StateArrays


class DeviceSteps(DeviceNetwork):
    """Engines of one network, each for a range of sizes; see `Steps`."""

    _current: DeviceState | None = None  # what lies in the `next_` tensors
    _earlier: DeviceState | None = None  # what lies in the inputs

    def step(self, lr: Pixels, state: CarriedState | None, /) -> tuple[PendingPixels, CarriedState]:
        """Begin to upscale one frame; see `Steps`."""
        transfers = self._device.transfers
        program, graph = self._device.fitting(lr.shape[2], lr.shape[3])
        fed, shapes = to_graph(lr, self.network, graph), self._shapes(program, lr)
        stays = state is not None and state is self._current
        arrays = {} if state is None or stays else state.arrays()
        self._device.prepare(program, {"lr": fed.shape, **shapes})
        for name, shape in shapes.items():
            if stays:
                size = int(np.prod(shape)) * program.type(name).itemsize
                source, target = program.address(f"next_{name}"), program.address(name)
                self._device.gpu.copy(target, source, size, transfers.network)
            else:
                values = arrays[name] if arrays else np.zeros(shape, program.type(name))
                transfers.upload(values, program.address(name))
        self._move(stays=stays)
        transfers.upload(fed, program.address("lr"))
        pending = self._run(program, graph, lr)
        following = DeviceState(self._device, program, shapes)
        self._current = following
        return pending, following

    def stages(self, lr: Pixels, *, seconds: float) -> DeviceStages:
        """Time the stages of a step on the device without overlap; see `device_stages`.

        Its upload holds the state, too, which does not leave the device in a video.
        """
        program, graph = self._device.fitting(lr.shape[2], lr.shape[3])
        feeds: dict[str, NDArray[Any]] = {"lr": to_graph(lr, self.network, graph)}
        for name, shape in self._shapes(program, lr).items():
            feeds[name] = np.zeros(shape, program.type(name))
        self._move(stays=False)
        return self._device.stages(program, feeds, seconds=seconds)

    def close(self) -> None:
        """Free all resources of the device."""
        self._move(stays=False)
        super().close()

    def _shapes(self, program: Program, lr: Pixels) -> TensorShapes:
        """Shapes of the maps of the state that the engine reads."""
        height, width = lr.shape[2:4]
        return {
            each.name: each.shape(height, width)
            for each in self.network.state
            if program.takes(each.name)
        }

    def _move(self, *, stays: bool) -> None:
        """Note where the states lie once the next step runs: the current one in the inputs."""
        if self._earlier is not None:
            self._earlier.place = None
        if self._current is not None:
            self._current.place = "" if stays else None
        self._earlier, self._current = self._current, None


class DeviceState:
    """A state on the device, valid until the second step after it.

    Attributes:
        place: Prefix of the tensors that hold it; None if they hold another one.
    """

    def __init__(self, device: DevicePrograms, program: Program, shapes: TensorShapes) -> None:
        self.place: str | None = "next_"
        self._device, self._program, self._shapes = device, program, shapes

    def arrays(self) -> StateArrays:
        """Copy the maps to host memory, after all work submitted so far."""
        if self.place is None:
            raise RuntimeError("this state was replaced on the device")
        program, download = self._program, self._device.transfers.download
        pending = {
            name: download(program.address(f"{self.place}{name}"), shape, program.type(name))
            for name, shape in self._shapes.items()
        }
        return {name: result() for name, result in pending.items()}
