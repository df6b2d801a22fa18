"""Encode and fuse graphs of a network on ONNX Runtime, with features read and written in place."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.backends.ort import feature_type, open_ort, run_errors_named
from vsrc.runtime.backends.ort_run import run_bound
from vsrc.runtime.backends.parallel_windows import Lanes, OnLanes
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.spec import FeatureSpec, GraphSpec, NetworkSpec

if TYPE_CHECKING:
    import onnxruntime


class OrtHalves(OnLanes["GraphPair"]):
    """The encode and the fuse graph on the CPU, behind the `Halves` protocol."""

    def __init__(
        self,
        encode: Path,
        fuse: Path,
        *,
        network: NetworkSpec,
        graph: GraphSpec,
        threads: int = 0,
    ) -> None:
        self.network, self.graph = network, graph
        self.label = f"ort-cpu {graph.precision}"
        super().__init__(
            Lanes(
                lambda plan: GraphPair(
                    open_ort(encode, threads=plan.inside), open_ort(fuse, threads=plan.inside)
                ),
                threads=threads,
            )
        )

    def memory(self, slots: int, height: int, width: int) -> OrtFeatures:
        """Allocate memory for the features of `slots` frames."""
        runs = self.network.window - self.graph.encoded_frames + 1
        return OrtFeatures(self.graph, self._lanes, slots=slots, runs=runs, size=(height, width))


class GraphPair:
    """The encode and the fuse graph, loaded with the same number of threads."""

    def __init__(
        self, encode: onnxruntime.InferenceSession, fuse: onnxruntime.InferenceSession
    ) -> None:
        self._encode: onnxruntime.InferenceSession | None = encode
        self._fuse: onnxruntime.InferenceSession | None = fuse

    @property
    def encode(self) -> onnxruntime.InferenceSession:
        """The encode graph."""
        return _still_open(self._encode)

    @property
    def fuse(self) -> onnxruntime.InferenceSession:
        """The fuse graph."""
        return _still_open(self._fuse)

    def close(self) -> None:
        """Free both; a second call has no effect."""
        self._encode = self._fuse = None


class OrtFeatures:
    """Features in arrays `(slots, C, h, w)`, bound to the graphs by their addresses.

    Work on a lane waits only for work that was started before it, so there is no deadlock. A slot
    that running windows still read is written after they have finished.
    """

    def __init__(
        self,
        graph: GraphSpec,
        lanes: Lanes[GraphPair],
        *,
        slots: int,
        runs: int,
        size: tuple[int, int],
    ) -> None:
        self._lanes = lanes
        self._made: dict[int, Callable[[], None]] = {}  # slot -> waits until it is filled
        self._read: deque[tuple[range, threading.Event]] = deque()  # slots, done event
        self._label = f"ort-cpu {graph.precision}"
        self._is_run = graph.encoded_frames > 1
        self._runs = runs
        self._sees_centre = any(value.name == "centre" for value in lanes.graphs.fuse.get_inputs())
        self._arrays = {
            feature.name: np.empty(
                (slots, *_shape(feature, size)), feature_type(lanes.graphs.encode, feature.name)
            )
            for feature in graph.features
        }

    def encode(self, frames: Pixels8, slot: int, /) -> None:
        """Start to fill a slot; see `FeatureMemory`."""
        self._free(range(slot, slot + 1))
        self._made[slot] = self._lanes.begin(
            lambda graphs: self._encoded(graphs.encode, frames, slot), windows=0
        )

    def _encoded(self, encode: onnxruntime.InferenceSession, frames: Pixels8, slot: int) -> None:
        binding = encode.io_binding()
        fed = np.ascontiguousarray(frames[None] if self._is_run else frames)
        binding.bind_cpu_input("lr", fed)
        for name, array in self._arrays.items():
            single = array[slot : slot + 1]
            binding.bind_output(name, "cpu", 0, single.dtype.type, single.shape, single.ctypes.data)
        run_errors_named(lambda: run_bound(encode, binding), self._label)

    def copy(self, source: int, target: int, count: int, /) -> None:
        """Copy slots; see `FeatureMemory`."""
        for slot in range(source, source + count):
            self._made[slot]()
        self._free(range(target, target + count))
        for slot in range(target, target + count):
            self._made[slot] = _is_there
        for array in self._arrays.values():
            for at in range(count):
                array[target + at] = array[source + at]

    def fuse(self, first: int, centre: Pixels8, /) -> Callable[[], Pixels8]:
        """Start to upscale a window; see `FeatureMemory`."""
        window = range(first, first + self._runs)
        needs = [self._made[slot] for slot in window]
        done = threading.Event()
        while self._read and self._read[0][1].is_set():
            self._read.popleft()
        self._read.append((window, done))

        def fused(graphs: GraphPair) -> Pixels8:
            try:
                for wait_for in needs:
                    wait_for()
                return self._fused(graphs.fuse, first, centre)
            finally:
                done.set()

        return self._lanes.begin(fused)

    def _free(self, slots: range) -> None:
        """Wait for the running windows that read any of these slots."""
        while self._read and any(
            max(slots.start, read.start) < min(slots.stop, read.stop) for read, _ in self._read
        ):
            self._read.popleft()[1].wait()

    def _fused(self, fuse: onnxruntime.InferenceSession, first: int, centre: Pixels8) -> Pixels8:
        binding = fuse.io_binding()
        for name, array in self._arrays.items():
            window = array[None, first : first + self._runs]
            binding.bind_input(name, "cpu", 0, window.dtype.type, window.shape, window.ctypes.data)
        if self._sees_centre:
            binding.bind_cpu_input("centre", np.ascontiguousarray(centre[None]))
        binding.bind_output("sr")
        run_errors_named(lambda: run_bound(fuse, binding), self._label)
        (sr,) = binding.copy_outputs_to_cpu()
        return np.asarray(sr)


def _still_open(session: onnxruntime.InferenceSession | None) -> onnxruntime.InferenceSession:
    if session is None:
        raise RuntimeError("the session was closed")
    return session


def _is_there() -> None:
    """Return immediately; there is nothing to wait for."""


def _shape(feature: FeatureSpec, size: tuple[int, int]) -> tuple[int, int, int]:
    return feature.channels, size[0] // feature.stride, size[1] // feature.stride
