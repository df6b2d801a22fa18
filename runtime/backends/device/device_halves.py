"""Encode and fuse engines of a network on a device; features never leave the device."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import numpy as np

from vsrc.runtime.backends.device.gpu import Address, Engine, Gpu
from vsrc.runtime.backends.device.program import Program, TensorShapes
from vsrc.runtime.backends.device.transfers import Transfers
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.spec import FeatureSpec, GraphSpec, NetworkSpec


class DeviceHalves:
    """An encode and a fuse engine, behind the `Halves` protocol."""

    ahead, at_once = 1, 0
    lane_choice, most_lanes = None, 0

    def __init__(
        self,
        gpu: Gpu,
        encode: Engine,
        fuse: Engine,
        *,
        network: NetworkSpec,
        graph: GraphSpec,
        label: str,
    ) -> None:
        """Args: `graph` describes the encode graph, with the sizes that both engines accept."""
        self.network, self.graph, self.label = network, graph, label
        self._gpu = gpu
        self._transfers = Transfers(gpu)
        names = [feature.name for feature in graph.features]
        stream = self._transfers.network
        self._encode = Program(gpu, encode, stream, outside=names)
        self._fuse = Program(gpu, fuse, stream, outside=names)
        self._closed = False
        self._size = (0, 0)
        self._given: weakref.WeakSet[DeviceFeatures] = weakref.WeakSet()

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        """Do nothing: a device divides its work by itself; see `ParallelSession`."""

    def memory(self, slots: int, height: int, width: int) -> DeviceFeatures:
        """Allocate memory for the features of `slots` frames."""
        if self._closed:
            raise RuntimeError("the session was closed")
        if (height, width) != self._size:
            self._transfers.forget()
            self._size = (height, width)
        runs = self.network.window - self.graph.encoded_frames + 1
        programs = self._encode, self._fuse
        made = DeviceFeatures(
            self._gpu, self._transfers, programs, self.graph, (slots, runs, height, width)
        )
        self._given.add(made)
        return made

    def close(self) -> None:
        """Free all resources of the device."""
        if self._closed:
            return
        self._closed = True
        self._transfers.drain()
        for features in self._given:
            features.release()
        self._encode.close()
        self._fuse.close()
        self._transfers.close()


class DeviceFeatures:
    """Features on the device, `(slots, C, h, w)` for each map; see `FeatureMemory`."""

    def __init__(
        self,
        gpu: Gpu,
        transfers: Transfers,
        programs: Sequence[Program],
        graph: GraphSpec,
        room: tuple[int, int, int, int],
    ) -> None:
        """Args: `room` is (slots, slots in a window, frame height, frame width)."""
        slots, self._runs, self._height, self._width = room
        self._gpu, self._transfers = gpu, transfers
        self._encode, self._fuse = programs
        self._frames = graph.encoded_frames
        self._shapes = {feature.name: self._shape(feature) for feature in graph.features}
        self._bytes = {
            name: int(np.prod(shape)) * self._encode.type(name).itemsize
            for name, shape in self._shapes.items()
        }
        self._at: dict[str, Address] = {}
        self.release = weakref.finalize(self, _free, gpu, self._at)
        for name, size in self._bytes.items():
            self._at[name] = gpu.allocate(slots * size)

    def encode(self, frames: Pixels8, slot: int, /) -> None:
        """Fill a slot; see `FeatureMemory`."""
        fed = frames[None] if self._frames > 1 else frames
        self._encode.reshape({"lr": fed.shape})
        self._transfers.upload(fed, self._encode.address("lr"))
        for name in self._at:
            self._encode.bind(name, self._slot(name, slot))
        self._encode.run()

    def copy(self, source: int, target: int, count: int, /) -> None:
        """Copy slots one by one, because source and target may overlap; see `FeatureMemory`."""
        for name, size in self._bytes.items():
            for at in range(count):
                to, of = self._slot(name, target + at), self._slot(name, source + at)
                self._gpu.copy(to, of, size, self._transfers.network)

    def fuse(self, first: int, centre: Pixels8, /) -> Callable[[], Pixels8]:
        """Start to upscale a window; see `FeatureMemory`."""
        fuse = self._fuse
        shapes: TensorShapes = {
            name: (1, self._runs, *shape) for name, shape in self._shapes.items()
        }
        if fuse.takes("centre"):
            shapes["centre"] = (1, *centre.shape)
        fuse.reshape(shapes)
        if fuse.takes("centre"):
            self._transfers.upload(centre, fuse.address("centre"))
        for name in self._at:
            fuse.bind(name, self._slot(name, first))
        fuse.run()
        return self._transfers.download(fuse.address("sr"), fuse.shapes["sr"], fuse.type("sr"))

    def _shape(self, feature: FeatureSpec) -> tuple[int, int, int]:
        return feature.channels, self._height // feature.stride, self._width // feature.stride

    def _slot(self, name: str, slot: int) -> Address:
        return Address(self._at[name] + slot * self._bytes[name])


def _free(gpu: Gpu, memory: dict[str, Address]) -> None:
    for address in memory.values():
        gpu.release(address)
    memory.clear()
