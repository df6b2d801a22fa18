"""What TensorRT logs decides what a failure is; a made module stands for it."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vsrc.runtime.backends.device.gpu import GpuStream
from vsrc.runtime.backends.device.trt_engine import TrtEngine
from vsrc.runtime.errors import DeviceMemoryError, MismatchError, VsrcError

OUT_OF_MEMORY = (
    "[defaultAllocator.cpp::allocate::31] Error Code 1: Cuda Runtime (out of memory)",
    "IExecutionContext::enqueueV3: Error Code 2: OutOfMemory (Requested size was 943718400 bytes.)",
)
OTHER = "IRuntime::deserializeCudaEngine: Error Code 1: Serialization (Version tag does not match)"


class Tensorrt(ModuleType):
    """The calls that opening and running an engine make.

    Args:
        fails_at: `load`, `context` or `run`.
        said: What is logged there.
    """

    __version__ = "10.3.0"
    ILogger = type("ILogger", (), {"Severity": SimpleNamespace(INTERNAL_ERROR=0, ERROR=1)})
    TensorIOMode = SimpleNamespace(INPUT=0, OUTPUT=1)

    def __init__(self, fails_at: str, said: str) -> None:
        super().__init__("tensorrt")
        self.fails_at, self.said = fails_at, said

    def Runtime(self, logger: Any) -> Any:  # noqa: ANN401, N802
        def step(name: str, made: object) -> Any:  # noqa: ANN401
            if name != self.fails_at:
                return made
            logger.log(1, self.said)
            return None

        context = SimpleNamespace(execute_async_v3=lambda _: step("run", True))
        engine = SimpleNamespace(
            num_io_tensors=1,
            device_memory_size_v2=900_000_000,
            get_tensor_name=lambda _: "lr",
            get_tensor_mode=lambda _: 0,
            get_tensor_dtype=lambda _: np.uint8,
            create_execution_context=lambda: step("context", context),
        )
        return SimpleNamespace(deserialize_cuda_engine=lambda _: step("load", engine))

    @staticmethod
    def nptype(kind: type[np.generic]) -> type[np.generic]:
        return kind


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.engine"
    path.write_bytes(b"engine")
    return path


def run(file: Path) -> None:
    TrtEngine(file, "trt").enqueue(GpuStream(0))


@pytest.mark.parametrize("said", OUT_OF_MEMORY)
@pytest.mark.parametrize("fails_at", ["load", "context", "run"])
def test_memory_that_runs_out_is_told_as_such(
    fails_at: str, said: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", Tensorrt(fails_at, said))
    with pytest.raises(DeviceMemoryError, match=r"one\.engine") as caught:
        run(file)
    assert said in str(caught.value)
    assert "--shape" in str(caught.value)


def test_other_failures_are_not(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", Tensorrt("load", OTHER))
    with pytest.raises(MismatchError, match="Version tag"):
        run(file)
    monkeypatch.setitem(sys.modules, "tensorrt", Tensorrt("run", "Cuda failure: launch timed out"))
    with pytest.raises(VsrcError, match="launch timed out") as caught:
        run(file)
    assert not isinstance(caught.value, DeviceMemoryError)


def test_a_failure_is_not_that_of_an_earlier_run(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = Tensorrt("run", OUT_OF_MEMORY[1])
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    engine = TrtEngine(file, "trt")
    with pytest.raises(DeviceMemoryError):
        engine.enqueue(GpuStream(0))
    module.said = "Cuda failure: launch timed out"
    with pytest.raises(VsrcError, match="launch timed out") as caught:
        engine.enqueue(GpuStream(0))
    assert not isinstance(caught.value, DeviceMemoryError)
