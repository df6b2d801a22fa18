"""Open sessions: the one place that chooses the backend and the graph of a package.

`Package.session`, `eval`, `infer` and `bench` all call it, so that `auto` is the same for each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from vsrc.runtime.backends.device.engines import ENGINE_BACKENDS, open_engines
from vsrc.runtime.backends.device.tensorrt_api import MODULES, tensorrt_module
from vsrc.runtime.backends.graph_check import check_declared, check_run
from vsrc.runtime.backends.graph_choice import BF16, best_precision, deep_graph, graph_as_run
from vsrc.runtime.backends.lane_trial import LanePlan
from vsrc.runtime.backends.openvino_session import NAME as OPENVINO
from vsrc.runtime.backends.openvino_session import PRECISIONS, OpenVinoSession, OpenVinoSteps
from vsrc.runtime.backends.ort_plugin import (
    installed_plugins,
    is_plugin,
    plugin_provider,
    require_plugin,
)
from vsrc.runtime.backends.ort_provider import CPU, CUDA, TENSORRT, Provider
from vsrc.runtime.backends.picture_gate import require_same_pictures
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import MismatchError, MissingDependencyError, VsrcError
from vsrc.runtime.installation import require_installed
from vsrc.runtime.machine import has_bf16, has_nvidia_device, thread_count
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.state_session import StateSession

if TYPE_CHECKING:
    from pathlib import Path

    from vsrc.runtime.backends.ort import OrtGraph
    from vsrc.runtime.package import Package
    from vsrc.runtime.pixels import Pixels
    from vsrc.runtime.spec import GraphSpec, NetworkSpec

logger = logging.getLogger(__name__)

_OPENVINO = Provider(OPENVINO, "", PRECISIONS)
_PROVIDERS = {
    "auto": CPU,
    "ort": CPU,
    "ort-cuda": CUDA,
    "ort-tensorrt": TENSORRT,
    OPENVINO: _OPENVINO,
}

BACKENDS = ("auto", "ort", "openvino", "ort-cuda", "ort-tensorrt", "trt", "trt-rtx", "ort:NAME")
"""Backends; NAME is that of a plugin: see `ort_plugin.PLUGINS`."""

_BF16_BACKENDS = ("auto", OPENVINO, "ort:openvino")


def provider_of(backend: str, device: int = 0) -> Provider:
    """Return the execution provider of a backend, on a CUDA device if it uses one.

    Raises:
        MissingDependencyError: A plugin of ONNX Runtime is not installed, or offers no device.
        ValueError: There is no such backend.
    """
    if is_plugin(backend):
        return plugin_provider(backend)
    if backend not in _PROVIDERS:
        raise ValueError(f"{backend=} is not known; there are: {', '.join(BACKENDS)}")
    provider = _PROVIDERS[backend]
    return replace(provider, device=device) if provider.memory == "cuda" else provider


def open_session(
    package: Package,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    device: int = 0,
    say: Callable[[str], None] = logger.info,
) -> Session:
    """Open a package for single windows, which have nothing to do with each other.

    Args:
        package: An opened package.
        backend: One of `BACKENDS`; `auto` takes the fastest that loads.
        precision: Name of the graph; `auto` takes the fastest for the backend, of those that kept
            within their limit when they were exported. `bf16` runs the fp32 graph in bfloat16.
        threads: CPU threads, 0 for as many as there are cores.
        device: Index of the CUDA device, of those that CUDA_VISIBLE_DEVICES leaves.
        say: Called with one line: what `auto` took, and why not what would be faster.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The backend that was asked for is not installed or did not load.
        GateError: The backend gives other pictures than ONNX Runtime on the CPU.
        ValueError: No such backend.
    """
    skipped: list[str] = []
    _check_bf16(backend, precision)

    def open_on(name: str) -> Session:
        if name in ENGINE_BACKENDS:
            return open_engines(
                package, backend=name, precision=precision, device=device, keeps_features=False
            )
        graph = _choose_graph(package, name, precision, skipped)
        whole = _open_whole(package, provider_of(name, device), graph, threads)
        return _gated(whole, package, name)

    return _open_chosen(backend, precision, open_on, skipped, say)


def open_video_session(
    package: Package,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    device: int = 0,
    is_deep: bool = False,
    size: tuple[int, int] | None = None,
    say: Callable[[str], None] = logger.info,
) -> Session:
    """Open a package for the consecutive frames of a video.

    Backend and precision are those that `open_session` chooses. If the package has encode and fuse
    graphs, the features of a frame are computed once and reused for all windows that contain it.

    Args:
        package: An opened package.
        backend: As for `open_session`.
        precision: As for `open_session`.
        threads: As for `open_session`.
        device: As for `open_session`.
        is_deep: Use the graph with float inputs and outputs if the package has one, for samples of
            more than 8 bits.
        size: H and W of the frames, if known.
        say: As for `open_session`.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The requested backend is not installed or did not load.
        GateError: The backend gives other pictures than ONNX Runtime on the CPU.
        ValueError: There is no such backend.
    """
    skipped: list[str] = []
    _check_bf16(backend, precision)

    def open_on(name: str) -> Session:
        if name in ENGINE_BACKENDS:
            return open_engines(
                package,
                backend=name,
                precision=precision,
                device=device,
                size=size,
                is_deep=is_deep,
            )
        deep = deep_graph(package, provider_of(name), precision) if is_deep else None
        graph = deep or _choose_graph(package, name, precision, skipped)
        videos = _open_for_videos(package, provider_of(name, device), graph, threads)
        return _gated(videos, package, name)

    return _open_chosen(backend, precision, open_on, skipped, say)


def require_backend(backend: str) -> None:
    """Check that the modules of a backend are installed, without importing them.

    Args:
        backend: One of `BACKENDS`; `auto` always passes.

    Raises:
        MissingDependencyError: A module is missing; names the command that installs it.
    """
    if backend in ENGINE_BACKENDS:
        if not is_importable(MODULES[backend]):
            tensorrt_module(backend)  # raises with the install command for this machine
    elif is_plugin(backend):
        require_plugin(backend)
    elif backend == OPENVINO:
        require_installed(f"the backend {backend}", "openvino", extra="openvino")
    elif backend != "auto":
        require_installed(f"the backend {backend}", "onnxruntime")


def first_that_loads(
    names: tuple[str, ...], open_one: Callable[[str], Session], skipped: list[str]
) -> Session:
    """Open the first backend that loads.

    Args:
        names: Backends, fastest first; the error of the last one is raised.
        open_one: Opens a backend.
        skipped: List to which the error of each failed backend is appended: "ort-cuda (...)".
    """
    for name in names[:-1]:
        try:
            return open_one(name)
        except VsrcError as error:  # noqa: PERF203  there are few
            skipped.append(f"{name} ({short_reason(error, name)})")
    return open_one(names[-1])


def _open_chosen(
    backend: str,
    precision: str,
    open_on: Callable[[str], Session],
    skipped: list[str],
    say: Callable[[str], None],
) -> Session:
    """Open the named backend, or the fastest that loads; say what was skipped.

    On a machine without a GPU nobody expects its backends, so that they are not mentioned.
    """
    failed: list[str] = []
    session = (
        first_that_loads(_auto_backends(precision), open_on, failed)
        if backend == "auto"
        else open_on(backend)
    )
    if has_nvidia_device() or precision == BF16 or not session.label.startswith("ort-cpu"):
        skipped[:0] = failed
    else:
        logger.info("skipped: %s", ", ".join(failed))
    if skipped:
        say(f"{session.label} runs it; skipped: {', '.join(skipped)}")
    return session


def _auto_backends(precision: str) -> tuple[str, ...]:
    """Backends that `auto` tries, fastest first.

    TensorRT inside ONNX Runtime is not among them, because it builds engines for minutes; nor is
    OpenVINO on a CPU, where ONNX Runtime is as fast, unless for bf16.
    """
    plugins = tuple(plugin.backend for plugin in installed_plugins())
    if precision == BF16:
        return (*(name for name in plugins if name in _BF16_BACKENDS), OPENVINO)
    devices = (name for name in plugins if _offers_device(name))
    return ("trt", "trt-rtx", "ort-cuda", *devices, "ort")


def _offers_device(backend: str) -> bool:
    """Whether a plugin offers more than the CPU here, or cannot say; then opening it says why."""
    try:
        return provider_of(backend).device_kind != "CPU"
    except VsrcError:
        return True


def _check_bf16(backend: str, precision: str) -> None:
    """Raise if bf16 was asked for where it does not exist.

    Raises:
        MissingDependencyError: This CPU cannot multiply bfloat16.
        ValueError: The backend has only the precision of its graphs.
    """
    if precision != BF16:
        return
    if backend not in _BF16_BACKENDS:
        raise ValueError(
            f"precision={precision!r} is run by {' and '.join(_BF16_BACKENDS[1:])}, not by "
            f"{backend}, whose precision is that of the graph"
        )
    if not has_bf16():
        raise MissingDependencyError(
            "--precision bf16 needs a CPU that multiplies bfloat16 (AVX512-BF16, AMX, or BF16 of "
            "Arm), and this one does not; --precision auto takes the fastest graph for it"
        )


def _gated(session: Session, package: Package, backend: str) -> Session:
    """Check the pictures of a backend whose kernels are not those of the export check."""
    provider = provider_of(backend)
    if not provider.plugin and provider is not _OPENVINO:
        return session
    graphs, graph = package.spec.graphs, session.graph
    same = next(name for name, known in graphs.items() if known.sha256 == graph.sha256)
    judge = same if graph.lossy or "fp32" not in graphs else "fp32"
    try:
        require_same_pictures(session, lambda: _open_whole(package, CPU, judge, 0))
    except VsrcError:
        session.close()
        raise
    return session


def short_reason(error: VsrcError, backend: str) -> str:
    """Shorten an error message: without the name of the backend and without the advice."""
    return str(error).split("; ")[0].removeprefix(f"{backend}: ")


def _choose_graph(package: Package, backend: str, precision: str, skipped: list[str]) -> str:
    """Name of the graph that ONNX Runtime gets: the one asked for, or the fastest for `auto`."""
    provider = provider_of(backend)
    return best_precision(package, provider, skipped) if precision == "auto" else precision


def _open_for_videos(package: Package, provider: Provider, precision: str, threads: int) -> Session:
    from vsrc.runtime.backends.ort_halves import OrtHalves
    from vsrc.runtime.backends.parallel_windows import Lanes, LaneSession
    from vsrc.runtime.windows.feature_ring import RingSession

    network = package.spec.network
    if provider is _OPENVINO and not network.state:
        path, graph = graph_as_run(package, precision)
        return LaneSession(
            Lanes(
                lambda plan: OpenVinoSession(path, network=network, graph=graph, plan=plan),
                threads=threads,
            )
        )
    if provider is not CPU or network.state:
        # Feature rings are in host memory only: on a GPU, whole windows are faster.
        return _open_whole(package, provider, precision, threads)
    names = (f"encode-{precision}", f"fuse-{precision}")
    pair = [package.spec.graphs.get(name) for name in names]
    # A feature ring feeds uint8: frames of more than 8 bits need the whole network.
    if not all(half and half.io == "uint8" and half.is_run_by_choice for half in pair):
        return LaneSession(
            Lanes(
                lambda plan: _open_whole(package, provider, precision, plan.inside), threads=threads
            )
        )
    (encode, graph), (fuse, _) = (package.graph(name) for name in names)
    halves = OrtHalves(encode, fuse, network=network, graph=graph, threads=threads)
    ring = RingSession(halves)
    check_run(fuse, ring, network, graph)
    return ring


def _open_whole(package: Package, provider: Provider, precision: str, threads: int) -> Session:
    path, graph = graph_as_run(package, precision)
    network = package.spec.network
    if provider is _OPENVINO:
        return _open_openvino(path, network, graph, threads)
    if precision.startswith(BF16) and provider.device_kind != "CPU":
        raise MismatchError(f"{provider.label} does not support bf16; use --precision fp16")
    return open_ort_graph(path, network=network, graph=graph, threads=threads, provider=provider)


def _open_openvino(path: Path, network: NetworkSpec, graph: GraphSpec, threads: int) -> Session:
    """Open a graph with OpenVINO for one window at a time, with all threads."""
    plan = LanePlan(1, thread_count(threads))
    if network.state:
        return StateSession(OpenVinoSteps(path, network=network, graph=graph, plan=plan))
    return OpenVinoSession(path, network=network, graph=graph, plan=plan)


def open_ort_graph(
    path: Path,
    *,
    network: NetworkSpec,
    graph: GraphSpec,
    threads: int = 0,
    provider: Provider = CPU,
) -> Session:
    """Open the graph of a whole network with ONNX Runtime; arguments as for `OrtSession`."""
    if network.state:
        from vsrc.runtime.backends.ort_steps import OrtSteps

        steps = OrtSteps(path, network=network, graph=graph, threads=threads, provider=provider)
        _check_graph(path, steps, lambda lr: steps.step(lr, None)[0](), provider)
        return StateSession(steps)
    from vsrc.runtime.backends.ort import OrtSession

    session = OrtSession(path, network=network, graph=graph, threads=threads, provider=provider)
    _check_graph(path, session, session, provider)
    return session


def _check_graph(
    path: Path, opened: OrtGraph, upscale: Callable[[Pixels], Pixels], provider: Provider
) -> None:
    """Compare a graph with its description; on a GPU a run would tune kernels for its size."""
    check_declared(path, opened.opened, opened.network, opened.graph)
    if provider is CPU:
        check_run(path, upscale, opened.network, opened.graph)
