"""A network with a state on a device; the state does not leave it.

step t      state ──┐               copied on the device at the next step: addresses stay the
lr ─────┴─ engine ─┬─ sr     same, so that a step can be captured as a graph
└─ next_state
step t+1    state ◄────────────────┘
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.device_programs import DevicePrograms
from vsrc.runtime.backends.device_stages import DeviceStages
from vsrc.runtime.backends.gpu import Engine, Gpu
from vsrc.runtime.backends.program import Program, TensorShapes
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.graph_io import from_graph, to_graph
from vsrc.runtime.windows.session import PendingPixels
from vsrc.runtime.windows.state_session import CarriedState, StateArrays


class DeviceSteps:
    """Engines of one network, each for a range of sizes; see `Steps`.

    Attributes:
        build_seconds: Time to build the engines; None where it was not recorded.
    """

    ahead, at_once = 1, 0

    def __init__(
        self,
        gpu: Gpu,
        engines: Sequence[tuple[Engine, GraphSpec]],
        *,
        network: NetworkSpec,
        label: str,
        build_seconds: float | None = None,
    ) -> None:
        """Args: `engines` are pairs of an engine and the `GraphSpec` with its sizes."""
        self.network, self.label, self.build_seconds = network, label, build_seconds
        self._device = DevicePrograms(gpu, engines)
        self.graph = self._device.graph
        self._current: DeviceState | None = None  # what lies in the `next_` tensors
        self._earlier: DeviceState | None = None  # what lies in the inputs

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
        program.run()
        shape, kind = program.shapes["sr"], program.type("sr")
        pending = transfers.download(program.address("sr"), shape, kind)
        like = lr[:0].copy()  # shape and type, not the pixels
        following = DeviceState(self._device, program, shapes)
        self._current = following
        return lambda: from_graph(pending(), self.network, graph, like=like), following

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
        self._device.close()

    def _shapes(self, program: Program, lr: Pixels) -> TensorShapes:
        """Shapes of the maps of the state that the engine reads."""
        height, width = lr.shape[2:4]
        return {
            each.name: (1, each.channels, height // each.stride, width // each.stride)
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
