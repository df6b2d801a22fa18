"""ONNX Runtime's CUDA libraries are loaded before a session needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

from vsrc.runtime.backends import ort_provider
from vsrc.runtime.backends.ort import open_ort
from vsrc.runtime.backends.ort_cuda import preload_cuda
from vsrc.runtime.backends.ort_provider import CPU, CUDA
from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.latency.rates import MATMUL_GRAPH


def test_what_it_prints_is_no_result(capsys: pytest.CaptureFixture[str]) -> None:
    noisy = SimpleNamespace(preload_dlls=lambda: sys.stdout.write("no\nlibcublas.so.13"))
    assert preload_cuda(noisy) == "no libcublas.so.13"
    assert preload_cuda(SimpleNamespace()) == ""  # before 1.21
    assert preload_cuda(onnxruntime) == ""  # NVIDIA's libraries are no matter of a build for CPUs
    assert capsys.readouterr() == ("", "")


def test_they_are_loaded_before_the_session(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    def session(*_: object, **__: object) -> Any:  # noqa: ANN401
        calls.append("session")
        raise RuntimeError("no GPU here")

    names = [CUDA.name, CPU.name]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: names)
    preload = lambda: calls.append("libraries")  # noqa: E731
    monkeypatch.setattr(onnxruntime, "preload_dlls", preload, raising=False)  # since 1.21
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    with pytest.raises(VsrcError):
        open_ort(MATMUL_GRAPH, threads=1, provider=CUDA)
    assert calls == ["libraries", "session"]
    with pytest.raises(VsrcError):
        open_ort(MATMUL_GRAPH, threads=1)
    assert calls[2:] == ["session"]


def test_on_a_jetson_the_line_installs_no_wheel_of_another_cuda(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ort_provider, "is_jetson_board", lambda: True)
    assert "pip" not in what_is_missing(monkeypatch, r"--backend trt .*CUDA 13")


@pytest.mark.parametrize(("first_python", "has_wheel"), [((3, 99), False), ((3, 0), True)])
def test_on_another_processor_the_line_installs_no_wheel_that_does_not_exist(
    first_python: tuple[int, int], has_wheel: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(ort_provider, "_FIRST_PYTHON_ON_ARM", first_python)
    words = "replace it by the build for NVIDIA GPUs" if has_wheel else "--backend trt"
    assert ("pip" in what_is_missing(monkeypatch, words)) == has_wheel


def what_is_missing(monkeypatch: pytest.MonkeyPatch, words: str) -> str:
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU.name])
    with pytest.raises(MissingDependencyError, match=words) as caught:
        open_ort(Path(MATMUL_GRAPH), threads=1, provider=CUDA)
    return str(caught.value)
