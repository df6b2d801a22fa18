"""Open sessions: the one place that chooses the backend and the graph of a package.

`Package.session`, `eval`, `infer` and `bench` all call it, so that `auto` is the same for each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from vsrc.runtime.backends.engines import ENGINE_BACKENDS, open_engines
from vsrc.runtime.backends.ort_provider import CPU, CUDA, TENSORRT, Provider
from vsrc.runtime.backends.tensorrt_api import MODULES, tensorrt_module
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.installation import require_installed
from vsrc.runtime.windows.session import Session

if TYPE_CHECKING:
    from pathlib import Path

    from vsrc.runtime.package import Package
    from vsrc.runtime.spec import GraphSpec, NetworkSpec

logger = logging.getLogger(__name__)

_PROVIDERS = {"auto": CPU, "ort": CPU, "ort-cuda": CUDA, "ort-tensorrt": TENSORRT}

BACKENDS = ("auto", "ort", "ort-cuda", "ort-tensorrt", "trt", "trt-rtx")

_AUTO = ("trt", "trt-rtx", "ort-cuda", "ort")
"""Backends that `auto` tries, fastest first. TensorRT inside ONNX Runtime is not among them,
because it builds engines for minutes."""


def provider_of(backend: str) -> Provider:
    """Return the ONNX Runtime provider of a backend.

    Raises:
        ValueError: There is no such backend.
    """
    if backend not in _PROVIDERS:
        raise ValueError(f"{backend=} is not known; there are: {', '.join(BACKENDS)}")
    return _PROVIDERS[backend]


def open_session(
    package: Package,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    say: Callable[[str], None] = logger.info,
) -> Session:
    """Open a package for single windows, which have nothing to do with each other.

    Args:
        package: An opened package.
        backend: One of `BACKENDS`; `auto` takes the fastest that loads.
        precision: Name of the graph; `auto` takes the fastest for the backend, of those that kept
            within their limit when they were exported.
        threads: CPU threads, 0 for as many as there are cores.
        say: Called with one line: what `auto` took, and why not what would be faster.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The backend that was asked for is not installed or did not load.
        ValueError: No such backend.
    """
    skipped: list[str] = []

    def open_on(name: str) -> Session:
        if name in ENGINE_BACKENDS:
            return open_engines(package, backend=name, precision=precision, keeps_features=False)
        return _open_whole(package, name, _choose_graph(package, name, precision, skipped), threads)

    return _open_chosen(backend, open_on, skipped, say)


def open_video_session(
    package: Package,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
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
        is_deep: Use the graph with float inputs and outputs if the package has one, for samples of
            more than 8 bits.
        size: H and W of the frames, if known.
        say: As for `open_session`.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The requested backend is not installed or did not load.
        ValueError: There is no such backend.
    """
    skipped: list[str] = []

    def open_on(name: str) -> Session:
        if name in ENGINE_BACKENDS:
            return open_engines(
                package, backend=name, precision=precision, size=size, is_deep=is_deep
            )
        deep = deep_graph(package, provider_of(name), precision) if is_deep else None
        graph = deep or _choose_graph(package, name, precision, skipped)
        return _open_for_videos(package, name, graph, threads)

    return _open_chosen(backend, open_on, skipped, say)


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
        except VsrcError as error:  # noqa: PERF203  there are four
            skipped.append(f"{name} ({short_reason(error, name)})")
    return open_one(names[-1])


def _open_chosen(
    backend: str,
    open_on: Callable[[str], Session],
    skipped: list[str],
    say: Callable[[str], None],
) -> Session:
    """Open the named backend, or the fastest that loads; say what was skipped."""
    session = first_that_loads(_AUTO, open_on, skipped) if backend == "auto" else open_on(backend)
    if skipped:
        say(f"{session.label} runs it; skipped: {', '.join(skipped)}")
    return session


def short_reason(error: VsrcError, backend: str) -> str:
    """Shorten an error message: without the name of the backend and without the advice."""
    return str(error).split("; ")[0].removeprefix(f"{backend}: ")


def best_precision(package: Package, provider: Provider, skipped: list[str] | None = None) -> str:
    """Choose the graph that a provider runs fastest, of those that may be chosen.

    Args:
        package: An opened package.
        provider: Provider that will run it.
        skipped: List to which faster graphs are appended that missed their limit or are stale.
    """
    graphs = package.spec.graphs
    for name in provider.precisions:
        if name in graphs and graphs[name].is_run_by_choice:
            return name
        if name in graphs and skipped is not None:
            stale, lossy = "it is older than the calibration", "it missed its limit at export"
            skipped.append(f"{name} ({stale if graphs[name].stale else lossy})")
    return "fp32"  # if it is missing, too, the error gives the command that exports it


def _choose_graph(package: Package, backend: str, precision: str, skipped: list[str]) -> str:
    """Name of the graph that ONNX Runtime gets: the one asked for, or the fastest for `auto`."""
    provider = provider_of(backend)
    return best_precision(package, provider, skipped) if precision == "auto" else precision


def deep_graph(package: Package, provider: Provider, precision: str) -> str | None:
    """Choose the fastest graph with float inputs and outputs for a provider; None if none."""
    graphs = package.spec.graphs
    wanted = (*provider.precisions, "fp32") if precision == "auto" else (precision,)
    names = (f"{graph}-float" for graph in wanted)
    return next((name for name in names if name in graphs and graphs[name].is_run_by_choice), None)


def _open_for_videos(package: Package, backend: str, precision: str, threads: int) -> Session:
    from vsrc.runtime.backends.ort_halves import OrtHalves
    from vsrc.runtime.backends.parallel_windows import Lanes, LaneSession
    from vsrc.runtime.windows.feature_ring import RingSession

    if provider_of(backend) is not CPU or package.spec.network.state:
        # Feature rings are in host memory only: on a GPU, whole windows are faster.
        return _open_whole(package, backend, precision, threads)
    names = (f"encode-{precision}", f"fuse-{precision}")
    pair = [package.spec.graphs.get(name) for name in names]
    # A feature ring feeds uint8: frames of more than 8 bits need the whole network.
    if not all(half and half.io == "uint8" and half.is_run_by_choice for half in pair):
        return LaneSession(
            Lanes(lambda inside: _open_whole(package, backend, precision, inside), threads=threads)
        )
    (encode, graph), (fuse, _) = (package.graph(name) for name in names)
    network = package.spec.network
    halves = OrtHalves(encode, fuse, network=network, graph=graph, threads=threads)
    return RingSession(halves)


def _open_whole(package: Package, backend: str, precision: str, threads: int) -> Session:
    path, graph = package.graph(precision)
    return open_ort_graph(
        path,
        network=package.spec.network,
        graph=graph,
        threads=threads,
        provider=provider_of(backend),
    )


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
        from vsrc.runtime.windows.state_session import StateSession

        return StateSession(
            OrtSteps(path, network=network, graph=graph, threads=threads, provider=provider)
        )
    from vsrc.runtime.backends.ort import OrtSession

    return OrtSession(path, network=network, graph=graph, threads=threads, provider=provider)
