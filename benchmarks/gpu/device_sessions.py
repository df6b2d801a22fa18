"""Device sessions on a GPU that has no TensorRT: a torch module in the place of the engine.

    python -m vsrc.benchmarks.gpu.device_sessions [--out DIR] [--size 90x160] [--device N]
    python -m vsrc.benchmarks.gpu.device_sessions --stand-in   # without a GPU, on host memory

Steps 1 to 3 of `vsrc selftest` (machine, memory, sensors), then a whole network and its halves
through vsrc's own sessions, whose engine is a torch module that reads and writes the addresses it
is given: so streams, events, CUDA graphs, the ring of features and 200 windows in flight are
proved. Each way must give what torch gives directly, within 1 of 255. Ends with status 1 if one
does not.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vsrc.compressor.networks.video.edge import edge
from vsrc.export.graphs.picture_network import ENDS, EncodeGraph, FuseGraph, WholeGraph
from vsrc.export.selftest import machine_step, memory_step, sensor_step
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.result import Check
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.backends.device.device_halves import DeviceHalves
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.gpu import Address, GpuStream
from vsrc.runtime.sensors.cuda_device import cuda_device
from vsrc.runtime.spec import FeatureSpec, GraphSpec, NetworkSpec
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.session import AsyncSession

WINDOWS, IN_FLIGHT = 24, 200
Module = Callable[..., Any]
Shapes = dict[str, tuple[int, ...]]


class TorchEngine:
    """A torch module behind the `Engine` protocol.

    Args:
        gpu: Device of the session; a stand-in runs the module in its own streams.
        module: Function of the inputs, in the order of `inputs`, that returns the outputs.
        inputs: Input name -> dtype.
        outputs: Output name -> dtype.
    """

    is_capturable = True

    def __init__(
        self,
        gpu: CudaGpu,
        module: Module,
        inputs: dict[str, np.dtype[Any]],
        outputs: dict[str, np.dtype[Any]],
    ) -> None:
        self._gpu, self._module, self.inputs, self.outputs = gpu, module, inputs, outputs
        self._shapes: Shapes = {}
        self._bound: dict[str, Address] = {}
        self._give = getattr(gpu, "give", None)  # of a stand-in
        # Memory of a captured graph must stay its own, so the module has a pool to itself.
        self._pool = None if self._give else torch.cuda.MemPool()

    def reshape(self, shapes: Shapes) -> Shapes:
        """See `Engine`."""
        where = "cpu" if self._give else "cuda"
        zeros = [
            torch.zeros(shapes[name], dtype=_torch_type(kind), device=where)
            for name, kind in self.inputs.items()
        ]
        with torch.inference_mode():
            found = _several(self._module(*zeros))
        made = dict(zip(self.outputs, (tuple(each.shape) for each in found), strict=True))
        self._shapes = shapes | made
        return made

    def bind(self, name: str, address: Address) -> None:
        """See `Engine`."""
        self._bound[name] = address

    def enqueue(self, stream: GpuStream) -> None:
        """See `Engine`."""
        bound, shapes = dict(self._bound), dict(self._shapes)

        def work() -> None:
            fed = [self._tensor(bound[n], shapes[n], kind) for n, kind in self.inputs.items()]
            with torch.inference_mode():
                found = _several(self._module(*fed))
                for (name, kind), values in zip(self.outputs.items(), found, strict=True):
                    self._tensor(bound[name], shapes[name], kind).copy_(values)

        if self._give is not None:
            from support.reordering_gpu import Work

            self._give(stream, Work(work))
            return
        external = torch.cuda.ExternalStream(stream)  # type: ignore[no-untyped-call]
        assert self._pool is not None, "the engine was closed"
        with torch.cuda.use_mem_pool(self._pool), torch.cuda.stream(external):
            work()

    def close(self) -> None:
        """See `Engine`."""
        self._pool = None

    def _tensor(self, address: Address, shape: tuple[int, ...], kind: np.dtype[Any]) -> Tensor:
        """The memory at an address as a tensor, without a copy."""
        if self._give is not None:
            size = int(np.prod(shape)) * kind.itemsize
            memory = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
            return torch.from_numpy(memory.view(kind).reshape(shape))
        interface = {
            "shape": shape,
            "typestr": kind.str,
            "data": (int(address), False),
            "version": 3,
        }
        holder = type("Memory", (), {"__cuda_array_interface__": interface})()
        return torch.as_tensor(holder, device="cuda")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("device-sessions"))
    parser.add_argument("--size", default="90x160", help="height x width, LR pixels")
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--stand-in", action="store_true")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    with stand_in() if options.stand_in else contextlib.nullcontext(CudaGpu) as kind:
        checks = selftest_steps(options.out, options.device)
        gpu = kind(cuda_device(options.device))
        if not options.stand_in:
            torch.cuda.set_device(options.device)
        checks += try_sessions(gpu, (height, width))
        errors = getattr(gpu, "errors", [])
    for check in checks:
        print(f"{check.state:8}{check.name}: {check.said}")
    if errors or any(check.state == "failed" for check in checks):
        raise SystemExit(1)


@contextlib.contextmanager
def stand_in() -> Iterator[type[CudaGpu]]:
    """The runtime that the tests compile, in the place of CUDA's."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tests"))
    from support.cuda_stand_in import StandInGpu, compile_stand_in, in_place_of_cuda

    with (
        tempfile.TemporaryDirectory() as folder,
        in_place_of_cuda(compile_stand_in(Path(folder))),
    ):
        yield StandInGpu


def selftest_steps(out: Path, device: int) -> list[Check]:
    """Steps 1 to 3, with their evidence."""
    checks: list[Check] = []
    for name, run in (
        ("machine", machine_step.try_machine),
        ("memory", memory_step.try_memory),
        ("sensors", sensor_step.try_sensors),
    ):
        evidence = out / name
        evidence.mkdir(parents=True, exist_ok=True)
        run(Context(evidence, out, device, False, checks.append))
    return checks


def try_sessions(gpu: CudaGpu, size: tuple[int, int]) -> list[Check]:
    """A whole network and its halves, in several ways, against torch itself."""
    torch.manual_seed(0)
    network = edge(encoded=16, features=32, blocks=3, scale=2, window=3).eval()
    where = "cpu" if hasattr(gpu, "give") else "cuda"
    network = network.to(where)
    windows = make_windows(WINDOWS, size)
    whole = WholeGraph(network, ENDS["uint8"], window=3).to(where)
    with torch.inference_mode():
        fed = [torch.from_numpy(window).to(where) for window, _ in windows]
        expected = np.concatenate([whole(each).cpu().numpy() for each in fed])
    checks = []
    for name, make in (("whole", open_whole), ("halves", open_halves)):
        for ahead in (0, 1):
            found = upscale(make(gpu, network, whole), windows, ahead)
            checks.append(compare(f"{name}, {ahead} ahead, against torch", found, expected, 1))
        many = make_windows(IN_FLIGHT, size)
        one_by_one = upscale(make(gpu, network, whole), many, 0)
        in_flight = upscale(make(gpu, network, whole), many, IN_FLIGHT)
        title = f"{name}, {IN_FLIGHT} in flight as one by one"
        checks.append(compare(title, in_flight, one_by_one, 0))
        capture, gpu.capture = gpu.capture, lambda *_: None  # type: ignore[method-assign]
        kernels = upscale(make(gpu, network, whole), many, 1)
        gpu.capture = capture  # type: ignore[method-assign]
        checks.append(compare(f"{name}, graphs as kernels", one_by_one, kernels, 0))
    return checks


def open_whole(gpu: CudaGpu, network: Any, whole: Module) -> AsyncSession:  # noqa: ANN401
    engine = TorchEngine(gpu, whole, {"lr": np.dtype("u1")}, {"sr": np.dtype("u1")})
    spec, graph = specs(network)
    return DeviceSession(gpu, [(engine, graph)], network=spec, label="torch fp32")


def open_halves(gpu: CudaGpu, network: Any, _: Module) -> AsyncSession:  # noqa: ANN401
    spec, graph = specs(network)
    names = [feature.name for feature in graph.features]
    maps = dict.fromkeys(names, np.dtype("f4"))
    encode = EncodeGraph(network, ENDS["uint8"])
    fuse = FuseGraph(network, ENDS["uint8"])
    halves = DeviceHalves(
        gpu,
        TorchEngine(gpu, encode, {"lr": np.dtype("u1")}, maps),
        TorchEngine(
            gpu,
            lambda *fed: fuse(tuple(fed[:-1]), fed[-1]),
            {**maps, "centre": np.dtype("u1")},
            {"sr": np.dtype("u1")},
        ),
        network=spec,
        graph=graph,
        label="torch fp32",
    )
    return RingSession(halves)


def specs(network: Any) -> tuple[NetworkSpec, GraphSpec]:  # noqa: ANN401
    """What the sessions need to know of the network and its encode graph."""
    maps = network.encode(torch.zeros(1, 3, 16, 16, device=next(network.parameters()).device))
    features = tuple(
        FeatureSpec(f"feature{at}", each.shape[1], 16 // each.shape[2])
        for at, each in enumerate(maps)
    )
    graph = GraphSpec("none", "0" * 64, 0, "fp32", "uint8", 18, height=(2, 4096), width=(2, 4096))
    return network.spec, replace(graph, features=features)


def make_windows(
    count: int, size: tuple[int, int]
) -> list[tuple[NDArray[np.uint8], tuple[int, ...]]]:
    frames = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    keys = [np.clip((at - 1, at, at + 1), 0, count - 1).tolist() for at in range(count)]
    return [(frames[key][None], tuple(key)) for key in keys]


def upscale(session: Any, windows: list[Any], ahead: int) -> NDArray[np.uint8]:  # noqa: ANN401
    found, waiting = [], deque[Any]()
    for window, key in windows:
        waiting.append(session.start(window, [key]))
        if len(waiting) > ahead:
            found.append(waiting.popleft()())
    found += [pending() for pending in waiting]
    session.close()
    return np.concatenate(found)


def compare(name: str, found: NDArray[np.uint8], expected: NDArray[np.uint8], most: int) -> Check:
    largest = int(np.abs(found.astype(np.int16) - expected).max())
    return Check(name, "passed" if largest <= most else "failed", f"differs by {largest} of 255")


def _several(found: Any) -> tuple[Tensor, ...]:  # noqa: ANN401
    return tuple(found) if isinstance(found, (tuple, list)) else (found,)


def _torch_type(kind: np.dtype[Any]) -> torch.dtype:
    return torch.uint8 if kind == np.dtype("u1") else torch.float32


if __name__ == "__main__":
    main()
