"""ONNX Runtime's CUDA libraries are loaded before a session needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import onnxruntime
import pytest

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


def test_on_another_processor_the_line_installs_no_wheel_that_does_not_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CPU.name])
    with pytest.raises(MissingDependencyError, match=r"no aarch64 wheel .*--backend trt") as caught:
        open_ort(Path(MATMUL_GRAPH), threads=1, provider=CUDA)
    assert "pip" not in str(caught.value)
