"""Which backend and which graph of a package run: the one place where sessions are opened.

`Package.session`, `eval`, `infer` and `bench` all come here, so that `auto` is the same for each.
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
    from vsrc.runtime.package import Package

logger = logging.getLogger(__name__)

_PROVIDERS = {"auto": CPU, "ort": CPU, "ort-cuda": CUDA, "ort-tensorrt": TENSORRT}

BACKENDS = ("auto", "ort", "ort-cuda", "ort-tensorrt", "trt", "trt-rtx")

_AUTO = ("trt", "trt-rtx", "ort-cuda", "ort")
"""Fastest first. TensorRT inside ONNX Runtime is left to those who ask: it builds for minutes."""


def provider_of(backend: str) -> Provider:
    """What ONNX Runtime calls a backend.

    Raises:
        ValueError: No such backend.
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
    """Open a package for frames that follow one another.

    Backend and precision are those that `open_session` chooses. Where the package holds the halves
    of its network, what is found out about a frame is kept for all windows that it is in.

    Args:
        package: An opened package.
        backend: As for `open_session`.
        precision: Likewise.
        threads: Likewise.
        is_deep: Take the graph with float edges where the package has one: it sees more than 8
            bits of a sample.
        size: H and W of the frames that will come, where they are known.
        say: As for `open_session`.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The backend that was asked for is not installed or did not load.
        ValueError: No such backend.
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
    """Check that what a backend imports is installed, without importing it.

    Args:
        backend: One of `BACKENDS`; `auto` needs nothing by name.

    Raises:
        MissingDependencyError: It is not; says what to type.
    """
    if backend in ENGINE_BACKENDS:
        if not is_importable(MODULES[backend]):
            tensorrt_module(backend)  # raises, and knows where each machine gets it from
        require_installed(f"the backend {backend}", "cuda.bindings", extra=backend)
    elif backend != "auto":
        require_installed(f"the backend {backend}", "onnxruntime")


def first_that_loads(
    names: tuple[str, ...], open_one: Callable[[str], Session], skipped: list[str]
) -> Session:
    """The first backend that opens.

    Args:
        names: Backends, fastest first; what is wrong with the last one is raised.
        open_one: Opens one.
        skipped: Takes what is wrong with each that does not open: "ort-cuda (...)".
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
    """What is wrong with a backend, without its name and without what to do about it."""
    return str(error).split("; ")[0].removeprefix(f"{backend}: ")


def best_precision(package: Package, provider: Provider, skipped: list[str] | None = None) -> str:
    """The graph that a provider runs fastest, of those the package holds and trusts.

    Args:
        package: An opened package.
        provider: What will run it.
        skipped: Takes the faster ones that missed their limit, with that reason.
    """
    graphs = package.spec.graphs
    for name in provider.precisions:
        if name in graphs and not graphs[name].lossy:
            return name
        if name in graphs and skipped is not None:
            skipped.append(f"{name} (it missed its limit when it was exported)")
    return "fp32"  # if it is missing, too, the error says how to make it


def _choose_graph(package: Package, backend: str, precision: str, skipped: list[str]) -> str:
    """Name of the graph that ONNX Runtime gets: the one asked for, or the fastest for `auto`."""
    provider = provider_of(backend)
    return best_precision(package, provider, skipped) if precision == "auto" else precision


def deep_graph(package: Package, provider: Provider, precision: str) -> str | None:
    """The graph with float edges that a provider runs fastest, or None if there is none."""
    graphs = package.spec.graphs
    wanted = (*provider.precisions, "fp32") if precision == "auto" else (precision,)
    names = (f"{graph}-float" for graph in wanted)
    return next((name for name in names if name in graphs and not graphs[name].lossy), None)


def _open_for_videos(package: Package, backend: str, precision: str, threads: int) -> Session:
    from vsrc.runtime.backends.ort_halves import OrtHalves
    from vsrc.runtime.backends.parallel_windows import Lanes, LaneSession, lane_count, lane_threads
    from vsrc.runtime.windows.feature_ring import RingSession

    if provider_of(backend) is not CPU:
        # Rings live in the memory of the host so far: on a GPU whole windows are faster.
        return _open_whole(package, backend, precision, threads)
    lanes, threads = lane_count(threads), lane_threads(threads)
    names = (f"encode-{precision}", f"fuse-{precision}")
    pair = [package.spec.graphs.get(name) for name in names]
    # A ring feeds bytes: frames of more than 8 bits go through the whole network.
    if not all(half and half.io == "uint8" and not half.lossy for half in pair):
        whole = _open_whole(package, backend, precision, threads)
        return LaneSession(whole, Lanes(lanes)) if lanes > 1 else whole
    (encode, graph), (fuse, _) = (package.graph(name) for name in names)
    network = package.spec.network
    halves = OrtHalves(encode, fuse, network=network, graph=graph, threads=threads, lanes=lanes)
    return RingSession(halves)


def _open_whole(package: Package, backend: str, precision: str, threads: int) -> Session:
    from vsrc.runtime.backends.ort import OrtSession

    path, graph = package.graph(precision)
    provider = provider_of(backend)
    return OrtSession(
        path, network=package.spec.network, graph=graph, threads=threads, provider=provider
    )
