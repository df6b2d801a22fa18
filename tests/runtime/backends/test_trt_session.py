"""Engines on a real device; everything here skips where there is none (VSRC_REQUIRE_GPU=1: fails).

What decides the order of things on the device is tested without one: test_device_session.py.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.gpu import Address, Event, Gpu, GpuStream, Graph, Pinned
from vsrc.runtime.backends.device.tensorrt_api import tensorrt_module
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.errors import DeviceMemoryError, MissingDependencyError, VsrcError
from vsrc.runtime.package import open_package
from vsrc.runtime.sensors.cuda_device import CudaDevice, cuda_device
from vsrc.runtime.sensors.cuda_paths import runtime_paths
from vsrc.runtime.windows.session import AsyncSession

NOWHERE = CudaDevice("no GPU", "0.0", 0)


def device() -> CudaDevice | None:
    try:
        return cuda_device()
    except MissingDependencyError:
        return None


needs_gpu = pytest.mark.skipif(
    device() is None and not os.environ.get("VSRC_REQUIRE_GPU"), reason="there is no CUDA device"
)


@pytest.mark.parametrize(
    "call",
    [
        lambda gpu: gpu.allocate(64),
        lambda gpu: gpu.release(Address(0)),
        lambda gpu: gpu.pinned(64),
        lambda gpu: gpu.release_pinned(Pinned(Address(0), np.zeros(1, np.uint8))),
        lambda gpu: gpu.stream(),
        lambda gpu: gpu.release_stream(GpuStream(0)),
        lambda gpu: gpu.event(),
        lambda gpu: gpu.release_event(Event(0)),
        lambda gpu: gpu.copy(Address(0), Address(0), 0, GpuStream(0)),
        lambda gpu: gpu.record(Event(0), GpuStream(0)),
        lambda gpu: gpu.hold(GpuStream(0), Event(0)),
        lambda gpu: gpu.wait(Event(0)),
        lambda gpu: gpu.drain(GpuStream(0)),
        lambda gpu: gpu.elapsed_ms(Event(0), Event(0)),
        lambda gpu: gpu.capture(GpuStream(0), lambda: None),
        lambda gpu: gpu.launch(Graph(0), GpuStream(0)),
        lambda gpu: gpu.release_graph(Graph(0)),
    ],
)
@pytest.mark.skipif(device() is not None, reason="there is a CUDA device")
def test_every_call_reaches_the_driver(call: Callable[[Gpu], object]) -> None:
    """Without one, NVIDIA's runtime itself says so: it took name and arguments of the call."""
    if not any(Path(path).is_file() for path in runtime_paths()):
        pytest.skip("nvidia-cuda-runtime is not installed")
    with pytest.raises(VsrcError, match=r"no GPU: cuda\w+ failed: cudaError(InsufficientDr|NoDev)"):
        call(CudaGpu(NOWHERE))


def test_tensorrt_for_rtx_has_what_is_asked_of_it() -> None:
    """Its engines load only on a GPU, so the names are looked up in its classes."""
    rtx = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")
    used = {
        rtx.ICudaEngine: ("create_runtime_config", "get_tensor_mode", "num_io_tensors"),
        rtx.IRuntimeConfig: (
            "create_runtime_cache",
            "cuda_graph_strategy",
            "get_runtime_cache",
            "set_runtime_cache",
        ),
        rtx.IRuntimeCache: ("deserialize", "serialize"),
        rtx.IExecutionContext: (
            "execute_async_v3",
            "get_tensor_shape",
            "set_input_shape",
            "set_tensor_address",
        ),
        rtx.CudaGraphStrategy: ("WHOLE_GRAPH_CAPTURE",),
    }
    for kind, names in used.items():
        assert [name for name in names if not hasattr(kind, name)] == []


@pytest.mark.gpu
@needs_gpu
def test_copies_and_events_on_the_device() -> None:
    gpu = CudaGpu()
    stream, (start, stop) = gpu.stream(), (gpu.event(), gpu.event())
    there, back = gpu.pinned(1 << 20), gpu.pinned(1 << 20)
    memory = gpu.allocate(1 << 20)
    there.bytes[:] = np.arange(1 << 20, dtype=np.uint32).astype(np.uint8)
    gpu.record(start, stream)
    gpu.copy(memory, there.address, 1 << 20, stream)
    gpu.copy(back.address, memory, 1 << 20, stream)
    gpu.record(stop, stream)
    gpu.wait(stop)
    np.testing.assert_array_equal(back.bytes, there.bytes)
    assert 0 < gpu.elapsed_ms(start, stop) < 1000
    with pytest.raises(DeviceMemoryError, match="is out of memory"):
        gpu.allocate(1 << 50)
    gpu.release(memory)
    for pinned in (there, back):
        gpu.release_pinned(pinned)
    for event in (start, stop):
        gpu.release_event(event)
    gpu.release_stream(stream)


@pytest.mark.gpu
@pytest.mark.trt
@needs_gpu
@pytest.mark.parametrize("backend", ["trt", "trt-rtx"])
@pytest.mark.parametrize("has_halves", [True, False])
def test_engines_give_what_the_cpu_gives(
    halves_package: Path, tmp_path: Path, backend: EngineBackend, has_halves: bool
) -> None:
    try:
        tensorrt_module(backend)
    except MissingDependencyError as error:
        pytest.skip(str(error))
    path = Path(shutil.copytree(halves_package, tmp_path / "student.vsrc"))
    asked = ["export", str(path), "--format", backend, "--precision", "fp32"]
    asked += ["--shape", "16x16,48x64,96x128"] + ([] if has_halves else ["--no-halves"])
    done = CliRunner().invoke(main, asked)
    assert done.exit_code == 0, done.output
    package = open_package(path)
    session, whole = open_video_session(package, backend=backend), package.session()
    assert isinstance(session, AsyncSession)
    assert session.ahead == 1
    for size in ((48, 64), (17, 30), (96, 128), (48, 64)):
        frames = np.random.default_rng(0).integers(0, 256, (9, *size, 3), dtype=np.uint8)
        keys = [tuple(np.clip((at - 1, at, at + 1), 0, 8).tolist()) for at in range(9)]
        windows = [frames[list(key)][None] for key in keys]
        begun = [session.start(one, [key]) for one, key in zip(windows, keys, strict=True)]
        for one, pending in zip(windows, begun, strict=True):
            # TF32 keeps 10 bits of a factor, so a level of 255 may be off by one more.
            assert np.abs(pending().astype(int) - whole(one)).max() <= 2
    session.close()
