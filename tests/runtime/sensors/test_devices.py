"""`--device` and NVML mean the same GPU."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
from click.testing import CliRunner

from support.cuda_stand_in import compile_stand_in, in_place_of_cuda
from vsrc.cli import main
from vsrc.runtime.backends.opening import open_session, provider_of
from vsrc.runtime.backends.ort_provider import provider_list
from vsrc.runtime.package import open_package
from vsrc.runtime.sensors import nvidia
from vsrc.runtime.sensors.nvidia import open_nvidia

pynvml = pytest.importorskip("pynvml")

COMMANDS = {
    "infer": ["infer", "in.mp4", "-o", "out.mp4"],
    "bench": ["bench"],
    "eval": ["eval", "--data", "."],
    "export": ["export", "edge-s", "-o", "copy.vsrc"],
}


@pytest.fixture(scope="module")
def runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_stand_in(tmp_path_factory.mktemp("cuda"))


@pytest.fixture
def two_devices(runtime: Path) -> Iterator[None]:
    with in_place_of_cuda(runtime, DEVICES=2):
        yield


@pytest.mark.usefixtures("two_devices")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("device", ["7", "2", "-1", "first", "1.0", ""])
def test_a_device_that_is_not_there_is_status_2_and_those_that_are_are_listed(
    command: str, device: str
) -> None:
    done = CliRunner().invoke(main, [*COMMANDS[command], f"--device={device}"])
    assert done.exit_code == 2
    assert "0: Stand-in 0 (8.7), 1: Stand-in 1 (8.7)" in done.stderr


def test_without_any_device_an_index_is_status_3_and_other_text_2(runtime: Path) -> None:
    with in_place_of_cuda(runtime, DEVICES=0):
        assert CliRunner().invoke(main, [*COMMANDS["bench"], "--device", "1"]).exit_code == 3
        assert CliRunner().invoke(main, [*COMMANDS["bench"], "--device", "x"]).exit_code == 2


def test_onnx_runtime_gets_the_device() -> None:
    class Build:
        __version__ = "1.31"

        @staticmethod
        def get_available_providers() -> list[str]:
            return ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]

    for backend in ("ort-cuda", "ort-tensorrt"):
        providers = provider_list(Build(), provider_of(backend, 1), None)
        with_device = [one for one in providers if isinstance(one, tuple)]
        assert with_device
        assert all(options["device_id"] == "1" for _, options in with_device)
    assert provider_list(onnxruntime, provider_of("ort", 1), None) == ["CPUExecutionProvider"]


@pytest.mark.usefixtures("two_devices")
def test_sessions_refuse_a_device_that_is_not_there(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "vsrc.runtime.backends.device.engines.engine_files", lambda *_: iter([Path("one")])
    )
    monkeypatch.setattr(
        "vsrc.runtime.backends.device.engines.tensorrt_module",
        lambda _: type("M", (), {"__version__": "10"}),
    )
    with pytest.raises(ValueError, match="no CUDA device 5; there are: 0: Stand-in 0"):
        open_session(open_package(tiny_package), backend="trt", device=5)


class Nvml:
    """NVML with its GPUs in another order than CUDA's."""

    NVMLError = pynvml.NVMLError
    known = ("GPU-10111213-1415-1617-1819-1a1b1c1d1e1f", "GPU-00010203-0405-0607-0809-0a0b0c0d0e0f")

    def __init__(self, count: int = 2) -> None:
        self.count, self.is_open = count, False

    def nvmlInit(self) -> None:  # noqa: N802
        self.is_open = True

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.is_open = False

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        return index

    def nvmlDeviceGetHandleByUUID(self, identifier: str) -> int:  # noqa: N802
        if identifier not in self.known:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_FOUND)
        return self.known.index(identifier)


@pytest.fixture
def handles(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Handles that sensors were made of."""
    made: list[int] = []

    def sensor(_: object, handle: int, **_options: object) -> Any:  # noqa: ANN401
        made.append(handle)
        return "a sensor"

    monkeypatch.setattr(nvidia, "NvidiaSensor", sensor)
    return made


@pytest.mark.usefixtures("two_devices")
def test_nvml_is_asked_about_the_device_that_cuda_uses(
    handles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", Nvml())
    open_nvidia(0)
    open_nvidia(1)
    assert handles == [1, 0]


def test_where_cuda_cannot_tell_only_a_single_gpu_is_read(
    runtime: Path, handles: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    with in_place_of_cuda(runtime, DEVICES=0):
        monkeypatch.setitem(sys.modules, "pynvml", Nvml(count=1))
        open_nvidia()
        assert handles == [0]
        several = Nvml(count=2)
        monkeypatch.setitem(sys.modules, "pynvml", several)
        assert "no CUDA device" in str(open_nvidia())
        assert not several.is_open


def test_a_sensor_that_is_not_installed_is_advised_only_where_a_driver_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr("vsrc.runtime.sensors.nvidia._DRIVER", tmp_path)
    assert "nvidia-ml-py is not installed" in str(open_nvidia())
    monkeypatch.setattr("vsrc.runtime.sensors.nvidia._DRIVER", tmp_path / "absent")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert open_nvidia() == "there is no NVIDIA driver"
