"""Sessions on a device through CUDA's own functions, judged by ONNX Runtime on the CPU.

CUDA is a stand-in in C (cuda_stand_in.c): host memory, work done late and in an order drawn by
chance. It is called as the real one is, which test_cuda_library.py compares it with.
"""

from __future__ import annotations

import ctypes
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.cuda_stand_in import StandInGpu, alive, compile_stand_in, in_place_of_cuda
from support.reordering_gpu import HostEngine
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.backends.device.device_halves import DeviceHalves
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.gpu import Address
from vsrc.runtime.errors import DeviceMemoryError, VsrcError
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.sensors.cuda_device import cuda_device
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.session import AsyncSession, PendingPixels

WINDOWS = 24


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def cuda(runtime: Path) -> Iterator[ctypes.CDLL]:
    with in_place_of_cuda(runtime) as library:
        before = alive(library)
        yield library
        assert alive(library) == before  # whatever a test does, it gives everything back


def open_whole(package: Path, gpu: StandInGpu) -> DeviceSession:
    opened = open_package(package)
    path, graph = opened.graph("fp32")
    engine = HostEngine(gpu, path)  # type: ignore[arg-type]
    return DeviceSession(gpu, [(engine, graph)], network=opened.spec.network, label="stand-in")


def open_pair(package: Path, gpu: StandInGpu) -> RingSession:
    opened = open_package(package)
    (encode, graph), (fuse, _) = opened.graph("encode-fp32"), opened.graph("fuse-fp32")
    engines = [HostEngine(gpu, path) for path in (encode, fuse)]  # type: ignore[arg-type]
    return RingSession(
        DeviceHalves(gpu, *engines, network=opened.spec.network, graph=graph, label="stand-in")
    )


def windows(size: tuple[int, int] = (12, 16)) -> list[tuple[Pixels, tuple[int, ...]]]:
    frames = np.random.default_rng(0).integers(0, 256, (WINDOWS, *size, 3), dtype=np.uint8)
    keys = [np.clip((at - 1, at, at + 1), 0, WINDOWS - 1).tolist() for at in range(WINDOWS)]
    return [(frames[key][None], tuple(key)) for key in keys]


def upscale(session: AsyncSession, *, ahead: int) -> list[Pixels]:
    """Begin windows before the ones before them are asked for."""
    found: list[Pixels] = []
    waiting: deque[PendingPixels] = deque()
    for window, key in windows():
        waiting.append(session.start(window, [key]))
        if len(waiting) > ahead:
            found.append(waiting.popleft()())
    return found + [pending() for pending in waiting]


@pytest.mark.parametrize("ahead", [0, 1, 200])
def test_a_whole_network_gives_what_the_cpu_gives(
    tiny_package: Path, cuda: ctypes.CDLL, ahead: int
) -> None:
    cpu, gpu = open_package(tiny_package).session(), StandInGpu()
    session = open_whole(tiny_package, gpu)
    before = cuda.stand_in_launches()
    found = upscale(session, ahead=ahead)
    assert gpu.errors == []
    np.testing.assert_array_equal(found, [cpu(window) for window, _ in windows()])
    assert cuda.stand_in_launches() - before == WINDOWS - 1  # captured at the second run
    session.close()


@pytest.mark.parametrize("ahead", [0, 1, 200])
def test_halves_with_their_ring_give_what_the_cpu_gives(
    halves_package: Path, cuda: ctypes.CDLL, ahead: int
) -> None:
    cpu, gpu = open_package(halves_package).session(), StandInGpu()
    session = open_pair(halves_package, gpu)
    found = np.array(upscale(session, ahead=ahead))
    assert gpu.errors == []
    expected = np.array([cpu(window) for window, _ in windows()])
    assert np.abs(found.astype(int) - expected).max() <= 1
    session.close()
    assert cuda.stand_in_alive(4) == 0


@pytest.mark.usefixtures("cuda")
def test_copies_and_events() -> None:
    gpu, size = CudaGpu(), 1 << 16
    stream, (start, stop) = gpu.stream(), (gpu.event(), gpu.event())
    there, back, memory = gpu.pinned(size), gpu.pinned(size), gpu.allocate(size)
    assert (back.bytes == 0xCD).all()
    there.bytes[:] = np.arange(size, dtype=np.uint32).astype(np.uint8)
    gpu.record(start, stream)
    gpu.copy(memory, there.address, size, stream)
    gpu.copy(back.address, memory, size, stream)
    gpu.record(stop, stream)
    assert (back.bytes == 0xCD).all()  # nothing is done before somebody waits
    gpu.wait(stop)
    np.testing.assert_array_equal(back.bytes, there.bytes)
    assert 0 <= gpu.elapsed_ms(start, stop) < 10_000
    gpu.copy(memory, there.address, 1, stream)
    gpu.drain(stream)
    give_back(gpu, stream, [start, stop], [there, back], [memory])


def give_back(gpu: CudaGpu, stream: int, events: list, hosts: list, memory: list) -> None:  # type: ignore[type-arg]
    for event in events:
        gpu.release_event(event)
    for host in hosts:
        gpu.release_pinned(host)
    for address in memory:
        gpu.release(address)
    gpu.release_stream(stream)  # type: ignore[arg-type]


def test_ffmpeg_can_use_the_context_of_the_runtime(runtime: Path) -> None:
    """It takes none that was created with other flags than CU_CTX_SCHED_BLOCKING_SYNC."""
    with in_place_of_cuda(runtime, DEVICES=2) as library:
        cuda_device(1)
        assert library.stand_in_context_flags(1) == 4


def test_waits_let_the_core_sleep(cuda: ctypes.CDLL) -> None:
    gpu = CudaGpu()
    event = gpu.event()
    flags = cuda.stand_in_event_flags
    flags.argtypes = (ctypes.c_void_p,)
    assert flags(event) == 1  # cudaEventBlockingSync
    gpu.release_event(event)


@pytest.mark.usefixtures("cuda")
def test_a_request_larger_than_all_memory_is_refused_and_survived() -> None:
    gpu = CudaGpu()
    with pytest.raises(DeviceMemoryError, match=r"Stand-in 0 is out of memory \(cudaMalloc"):
        gpu.allocate(1 << 50)
    with pytest.raises(DeviceMemoryError, match="cudaHostAlloc"):
        gpu.pinned(1 << 50)
    gpu.release(gpu.allocate(64))


@pytest.mark.usefixtures("cuda")
def test_a_capture_that_allocates_is_no_graph_and_does_no_harm() -> None:
    gpu = CudaGpu()
    stream, memory, host = gpu.stream(), gpu.allocate(8), gpu.pinned(8)
    assert gpu.capture(stream, lambda: gpu.release(gpu.allocate(8))) is None

    def fail() -> None:
        gpu.copy(memory, host.address, 8, stream)
        raise VsrcError("no")

    assert gpu.capture(stream, fail) is None
    host.bytes[:] = 7
    graph = gpu.capture(stream, lambda: gpu.copy(memory, host.address, 8, stream))
    assert graph is not None
    host.bytes[:] = 9  # a graph reads when it runs
    gpu.launch(graph, stream)
    gpu.copy(host.address, memory, 8, stream)
    gpu.drain(stream)
    assert host.bytes.tolist() == [9] * 8
    gpu.release_graph(graph)
    give_back(gpu, stream, [], [host], [memory])


def test_every_thread_uses_the_device_that_was_chosen(runtime: Path) -> None:
    """Each thread of CUDA begins with device 0, whose streams and events another cannot use."""
    with in_place_of_cuda(runtime, DEVICES=2) as library:
        gpu = CudaGpu(cuda_device(1))
        assert gpu.device.name == "Stand-in 1"
        stream, memory, host = gpu.stream(), gpu.allocate(8), gpu.pinned(8)
        failures: list[VsrcError] = []

        def work() -> None:
            try:
                event = gpu.event()
                gpu.copy(memory, host.address, 8, stream)
                gpu.record(event, stream)
                gpu.wait(event)
                gpu.release_event(event)
            except VsrcError as error:
                failures.append(error)

        for _ in range(2):
            thread = threading.Thread(target=work)
            thread.start()
            thread.join()
        assert failures == []
        give_back(gpu, stream, [], [host], [memory])
        assert alive(library) == {}


@pytest.mark.usefixtures("cuda")
def test_what_cuda_refuses_names_the_device_and_the_function() -> None:
    gpu = CudaGpu()
    stream = gpu.stream()
    with pytest.raises(VsrcError, match="Stand-in 0: cudaFree failed: cudaErrorInvalidValue"):
        gpu.release(Address(12345))
    gpu.release_stream(stream)
    with pytest.raises(VsrcError, match="cudaStreamDestroy failed: cudaErrorInvalidResourceHandle"):
        gpu.release_stream(stream)
