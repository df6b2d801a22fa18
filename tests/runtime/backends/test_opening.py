"""Backends: the one that was asked for or an error, and with auto the fastest that loads."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from vsrc.runtime import installation
from vsrc.runtime.backends import ort
from vsrc.runtime.backends.graph_choice import best_precision
from vsrc.runtime.backends.opening import (
    BACKENDS,
    first_that_loads,
    open_session,
    open_video_session,
)
from vsrc.runtime.backends.ort_provider import CPU, CUDA, TENSORRT, check_loaded, provider_list
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.subject import open_subject
from vsrc.runtime.package import Package, open_package, write_spec
from vsrc.runtime.windows.feature_ring import RingSession


def has(*names: str) -> Any:  # noqa: ANN401
    """Stands for a build of ONNX Runtime and for a session, of which only the providers count."""

    class Found:
        __version__ = "1.0"
        get_available_providers = get_providers = staticmethod(lambda: list(names))

    return Found()


@pytest.mark.parametrize("provider", [CUDA, TENSORRT])
def test_a_provider_that_is_not_there_is_status_3(provider: Any) -> None:  # noqa: ANN401
    expected = rf"{provider.name}; .*pip uninstall -y onnxruntime && .*(onnxruntime-gpu|\[gpu\])"
    with pytest.raises(MissingDependencyError, match=expected) as caught:
        provider_list(has(CPU.name), provider, None)
    assert caught.value.exit_status == 3


def test_two_builds_of_onnxruntime_are_refused_before_the_work(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installation, "find_version", lambda _name: "1.30")
    for backend in ("auto", "ort"):
        with pytest.raises(MissingDependencyError, match="keep one: pip uninstall -y onnxr") as bad:
            open_session(open_package(tiny_package), backend=backend)
        assert bad.value.exit_status == 3


def test_a_silent_fallback_is_an_error() -> None:
    check_loaded(has(CUDA.name, CPU.name), CUDA)
    with pytest.raises(MissingDependencyError, match=r"ort-cuda .*CPUExec"):
        check_loaded(has(CPU.name), CUDA)


def test_tensorrt_keeps_its_engines_and_timings(tmp_path: Path) -> None:
    every = has(TENSORRT.name, CUDA.name, CPU.name)
    (name, options), *rest = provider_list(every, TENSORRT, tmp_path)
    assert (name, rest) == (TENSORRT.name, [(CUDA.name, {"device_id": "0"}), CPU.name])
    assert options["trt_engine_cache_enable"] == options["trt_timing_cache_enable"] == "1"
    assert options["trt_engine_cache_path"] == options["trt_timing_cache_path"] == str(tmp_path)


def test_tensorrt_loads_no_engines_from_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tiny_package: Path
) -> None:
    """It loads whatever lies in the folder of its cache."""
    seen: list[Path | None] = []

    def providers(_runtime: Any, _provider: Any, cache: Path | None) -> list[str]:  # noqa: ANN401
        seen.append(cache)
        return [CPU.name]

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ort, "provider_list", providers)
    monkeypatch.setattr(ort, "preload_cuda", lambda _module: None)
    with pytest.raises(MissingDependencyError):
        ort.open_ort(tiny_package / "graphs" / "fp32.onnx", threads=1, provider=TENSORRT)
    (folder,) = seen
    assert folder is not None
    assert folder.is_relative_to(tmp_path)


def test_every_backend_is_known(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    with pytest.raises(ValueError, match=r"'abacus' .*auto, ort, "):
        open_video_session(package, backend="abacus")
    needs_gpu = set(BACKENDS) - {"auto", "ort", "openvino", "ort:NAME"}
    assert len(needs_gpu) == 4
    for backend in needs_gpu:
        with pytest.raises(MissingDependencyError) as caught:
            open_video_session(package, backend=backend)
        assert caught.value.exit_status == 3


def test_auto_says_in_one_line_what_it_skipped(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrc.runtime.backends.opening.has_nvidia_device", lambda: True)
    said: list[str] = []
    package = with_graphs(open_package(tiny_package), fp32=False, int8_cpu=True)
    open_video_session(package, say=said.append).close()
    (line,) = said
    assert line.startswith("ort-cpu fp32 runs it; skipped: trt (student.vsrc holds no trt eng")
    assert "trt-rtx (student.vsrc holds no trt-rtx engine)" in line
    assert "ort-cuda (this onnxruntime" in line
    assert line.endswith("int8-cpu (it missed its limit at export)")
    open_video_session(package, backend="ort", precision="fp32", say=said.append).close()
    assert len(said) == 1
    open_session(package, say=said.append).close()
    assert said == [line, line]


def test_backends_of_a_gpu_are_not_mentioned_where_there_is_none(
    tiny_package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vsrc.runtime.backends.opening.has_nvidia_device", lambda: False)
    said: list[str] = []
    open_video_session(open_package(tiny_package), say=said.append).close()
    assert said == []
    package = with_graphs(open_package(tiny_package), fp32=False, int8_cpu=True)
    open_video_session(package, say=said.append).close()
    (line,) = said
    assert line == "ort-cpu fp32 runs it; skipped: int8-cpu (it missed its limit at export)"


def test_what_is_wrong_with_the_last_backend_is_raised() -> None:
    def open_one(name: str) -> Any:  # noqa: ANN401
        raise MissingDependencyError(f"{name} is not there; do something")

    skipped: list[str] = []
    with pytest.raises(MissingDependencyError, match=r"^b "):
        first_that_loads(("a", "b"), open_one, skipped)
    assert skipped == ["a (a is not there)"]


def with_graphs(package: Package, **lossy: bool) -> Package:
    graph = package.spec.graphs["fp32"]
    graphs = {
        name.replace("_", "-"): replace(graph, lossy=is_lossy) for name, is_lossy in lossy.items()
    }
    return Package(package.path, replace(package.spec, graphs=graphs))


def test_auto_takes_the_fastest_graph_that_kept_within_its_limit(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    every = with_graphs(package, fp32=False, fp16=False, int8_cpu=False)
    assert best_precision(every, CPU) == "int8-cpu"
    assert best_precision(every, CUDA) == "fp16"
    assert best_precision(with_graphs(package, fp32=False, int8_cpu=True), CPU) == "fp32"
    assert best_precision(package, CUDA) == "fp32"


def test_windows_videos_and_measurements_take_the_fastest_graph(
    tiny_package: Path, tmp_path: Path
) -> None:
    path = Path(shutil.copytree(tiny_package, tmp_path / "student.vsrc"))
    package = open_package(path)
    graph = package.spec.graphs["fp32"]
    for is_lossy, expected in ((False, "int8-cpu"), (True, "fp32")):
        fast = replace(graph, precision="int8-cpu", lossy=is_lossy)
        write_spec(path, replace(package.spec, graphs={"fp32": graph, "int8-cpu": fast}))
        changed = open_package(path)
        assert open_video_session(changed).label == f"ort-cpu {expected}"
        assert changed.session().label == f"ort-cpu {expected}"
        subject = open_subject(BenchConfig(path, shape=(8, 8)))
        assert subject.label == f"ort-cpu {expected}"
        assert subject.graph is not None  # to look inside
        subject.close()
    asked = open_video_session(changed, precision="int8-cpu")
    assert asked.label == "ort-cpu int8-cpu"  # who names it gets it, lossy or not


def test_halves_with_float_edges_are_not_fed_bytes(
    halves_package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("check_declared", "check_run"):  # the files are those of graphs that take bytes
        monkeypatch.setattr(f"vsrc.runtime.backends.opening.{name}", lambda *_: None)
    path = Path(shutil.copytree(halves_package, tmp_path / "student.vsrc"))
    spec = open_package(path).spec
    graphs = {f"{name}-float": replace(one, io="float") for name, one in spec.graphs.items()}
    write_spec(path, replace(spec, graphs=spec.graphs | graphs))
    deep, usual = (open_video_session(open_package(path), is_deep=deep) for deep in (True, False))
    assert deep.label == "ort-cpu fp32-float"
    assert isinstance(usual, RingSession)
    assert not isinstance(deep, RingSession)
