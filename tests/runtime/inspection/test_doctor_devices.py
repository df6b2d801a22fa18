"""What the doctor finds of GPUs, boards and providers, and what it advises for them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.remedies import lines_of
from vsrc.runtime.inspection import doctor, doctor_gpu, doctor_onnxruntime
from vsrc.runtime.inspection.doctor import examine
from vsrc.runtime.inspection.finding import Remedy
from vsrc.runtime.inspection.trials import Outcome

EXTRAS_OF_WHEEL = [
    "flatbuffers",
    'nvidia-cuda-runtime~=13.0; extra == "cuda"',
    'nvidia-cudnn-cu13~=9.0; extra == "cudnn"',
]
"""As onnxruntime-gpu 1.31 declares them."""


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("version", "installed", "driver", "fix"),
    [
        ("1.31.1", (), "13.0", "pip install 'onnxruntime-gpu[cuda,cudnn]>=1.20'"),
        ("1.26.0", (), "12.4", "pip install 'onnxruntime-gpu[cuda,cudnn]<1.27,>=1.20'"),
        # What the extra brings is there: its line is no remedy.
        ("1.31.1", ("nvidia",), "13.0", None),
        ("1.31.1", ("nvidia",), "12.4", "pip install 'onnxruntime-gpu[cuda,cudnn]<1.27,>=1.20'"),
    ],
)
def test_a_provider_that_does_not_load_is_broken_and_the_other_is_not(
    monkeypatch: pytest.MonkeyPatch,
    version: str,
    installed: tuple[str, ...],
    driver: str,
    fix: str | None,
) -> None:
    def trial(name: str, argument: str = "") -> Outcome:
        if name == "cuda-versions":
            return Outcome(True, f"13.5 {driver}")
        if name == "onnxruntime":
            return Outcome(True, "Tensorrt CUDA CPU")
        return Outcome(argument == "CPUExecutionProvider", "libcudnn.so.9 not found")

    def find_version(name: str) -> str | None:
        if name == "onnxruntime-gpu":
            return version
        return "1" if name.startswith(installed or "none") else None

    monkeypatch.setattr(doctor_onnxruntime, "providers_of", lambda _module: ["onnxruntime-gpu"])
    monkeypatch.setattr(doctor_onnxruntime, "run_trial", trial)
    monkeypatch.setattr(doctor_onnxruntime, "find_version", find_version)
    monkeypatch.setattr(doctor_onnxruntime, "requirements_of", lambda _name: EXTRAS_OF_WHEEL)
    remedies = doctor_onnxruntime.examine_onnxruntime(has_gpu=True)
    assert [remedy.finding.state for remedy in remedies] == ["ok", "broken", "broken"]
    wheel = "tensorrt" if version == "1.31.1" else "tensorrt-cu12"
    assert lines_of(remedies) == {
        "onnxruntime-gpu CPU": None,
        "onnxruntime-gpu CUDA": fix,
        "onnxruntime-gpu Tensorrt": f"pip install '{wheel}>=10.13.2,<11'",
    }
    without = doctor_onnxruntime.examine_onnxruntime(has_gpu=False)
    assert [remedy.finding.state for remedy in without] == ["ok", "no-gpu", "no-gpu"]
    assert set(lines_of(without).values()) == {None}


@pytest.mark.usefixtures("wheel")
def test_the_devices_of_a_pc_are_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"nvenc": "No capable devices found", "power-mode": "300 W"}

    def trial(name: str) -> Outcome:
        return Outcome(name != "nvenc", said.get(name, "works"))

    monkeypatch.setattr(doctor_gpu, "run_trial", trial)
    found = {one.finding.name: one for one in doctor_gpu.examine_nvidia(has_gpu=True)}
    assert found["cuda"].finding.state == found["nvdec"].finding.state == "ok"
    assert found["power mode"].finding.said == "300 W"
    assert (found["nvenc"].finding.state, found["nvenc"].command) == ("absent", None)


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize("works", [False, True])
def test_on_a_jetson_no_line_installs_a_wheel_of_nvidias(
    monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """CUDA and TensorRT are JetPack's, and the wheels of PyPI are not for its GPU."""
    for module in (doctor_gpu, doctor_onnxruntime):
        monkeypatch.setattr(module, "is_jetson_board", lambda: True)
        monkeypatch.setattr(module, "run_trial", lambda *_: Outcome(works, "CPU CUDA Tensorrt"))
    monkeypatch.setattr(doctor_gpu, "find_version", lambda _name: None)
    monkeypatch.setattr(doctor_onnxruntime, "providers_of", lambda _module: ["onnxruntime-gpu"])
    for is_importable in (False, True):
        monkeypatch.setattr(doctor_gpu, "is_importable", lambda _module, it=is_importable: it)
        remedies = [
            *doctor_gpu.examine_nvidia(has_gpu=True),
            *doctor_onnxruntime.examine_onnxruntime(has_gpu=True),
        ]
        lines = [line for line in lines_of(remedies).values() if line is not None]
        assert not [line for line in lines if "pip install" in line and "onnxruntime" not in line]
        names = [remedy.finding.name for remedy in remedies]
        assert "tensorrt-rtx" not in names
        assert "nvidia-ml-py" not in names


@pytest.mark.usefixtures("wheel")
def test_on_a_jetson_tensorrt_comes_from_jetpack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_gpu, "find_version", lambda _name: None)
    monkeypatch.setattr(doctor_gpu, "is_importable", lambda _module: False)
    desktop = lines_of(doctor_gpu.examine_nvidia(has_gpu=True))
    assert desktop["tensorrt"] == "pip install 'tensorrt>=8.6'"
    monkeypatch.setattr(doctor_gpu, "is_jetson_board", lambda: True)
    board = lines_of(doctor_gpu.examine_nvidia(has_gpu=True))
    assert "tensorrt-rtx" not in board
    line = board["tensorrt"] or ""
    assert line.endswith(f"-m venv --system-site-packages {sys.prefix}") or "libnvinfer" in line


def test_a_container_without_nvidia_smi_has_its_gpu_tried(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[bool] = []

    def examine_nvidia(*, has_gpu: bool) -> list[Remedy]:
        asked.append(has_gpu)
        return []

    monkeypatch.setattr(doctor, "examine_nvidia", examine_nvidia)
    monkeypatch.setattr(doctor, "find_gpus", lambda: ())
    monkeypatch.setattr(doctor, "run_trial", lambda *_: Outcome(True, ""))
    for name in ("examine_onnxruntime", "examine_models", "examine_extra"):
        monkeypatch.setattr(doctor, name, lambda *_, **__: [])
    for name in ("missing", "nvidiactl"):
        (tmp_path / "nvidiactl").touch()
        monkeypatch.setattr(doctor, "_DRIVER_DEVICE", tmp_path / name)
        examine(offline=True)
    assert asked == [False, True]


def test_without_a_gpu_nothing_is_asked_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []

    def trial(name: str) -> Outcome:
        tried.append(name)
        return Outcome(True, "its builder starts")

    monkeypatch.setattr(doctor_gpu, "run_trial", trial)
    monkeypatch.setattr(doctor_gpu, "find_version", lambda _name: "10.3")
    found = {one.finding.name: one for one in doctor_gpu.examine_nvidia(has_gpu=False)}
    assert tried == ["tensorrt-rtx"]  # which builds without
    assert found["tensorrt"].finding.state == found["cuda"].finding.state == "no-gpu"


def test_tensorrt_without_metadata_is_there_if_it_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor_gpu, "find_version", lambda _name: None)
    monkeypatch.setattr(doctor_gpu, "is_importable", lambda _module: True)
    monkeypatch.setattr(doctor_gpu, "is_jetson_board", lambda: True)
    monkeypatch.setattr(doctor_gpu, "run_trial", lambda _name: Outcome(True, "its builder starts"))
    assert next(iter(doctor_gpu.examine_nvidia(has_gpu=True))).finding.state == "ok"
