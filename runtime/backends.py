"""Which backend and which graph of a package run a video."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.ort_provider import CPU, CUDA, TENSORRT, Provider
from vsrc.runtime.session import BACKENDS, Session, open_session

if TYPE_CHECKING:
    from vsrc.runtime.package import Package

logger = logging.getLogger(__name__)

_PROVIDERS = {"auto": CPU, "ort": CPU, "ort-cuda": CUDA, "ort-tensorrt": TENSORRT}

_AUTO = ("ort-cuda", "ort")
"""Fastest first. TensorRT is left to those who ask for it: it builds for minutes at first."""


def provider_of(backend: str) -> Provider:
    """What ONNX Runtime calls a backend.

    Raises:
        ValueError: No such backend.
    """
    if backend not in _PROVIDERS:
        raise ValueError(f"{backend=} is not known; there are: {', '.join(BACKENDS)}")
    return _PROVIDERS[backend]


def open_video_session(
    package: Package,
    *,
    backend: str = "auto",
    precision: str = "auto",
    threads: int = 0,
    is_deep: bool = False,
) -> Session:
    """Open a package for frames that follow one another.

    Where the package holds the halves of its network, what is found out about a frame is kept for
    all windows that it is in.

    Args:
        package: An opened package.
        backend: One of `BACKENDS`; `auto` takes the fastest that loads.
        precision: Name of the graph; `auto` takes the fastest for the backend, of those that kept
            within their limit when they were exported.
        threads: CPU threads, 0 for as many as there are cores.
        is_deep: Take the graph with float edges where the package has one: it sees more than 8
            bits of a sample.

    Raises:
        SpecError: The package lacks the graph, or it is damaged.
        MissingDependencyError: The backend that was asked for is not installed or did not load.
        ValueError: No such backend.
    """

    def on(name: str) -> Session:
        provider = provider_of(name)
        deep = deep_graph(package, provider, precision) if is_deep else None
        if deep is not None:
            return open_session(package, backend=name, precision=deep, threads=threads)
        graph = best_precision(package, provider) if precision == "auto" else precision
        return _opened(package, name, graph, threads)

    return first_that_loads(_AUTO, on, has_gpu=_has_nvidia()) if backend == "auto" else on(backend)


def first_that_loads(
    names: tuple[str, ...], open_one: Callable[[str], Session], *, has_gpu: bool
) -> Session:
    """The first backend that opens; says why those before it did not.

    Args:
        names: Backends, fastest first.
        open_one: Opens one.
        has_gpu: Whether a GPU stays idle if only the last one opens, which the user should know.
    """
    passed_over = []
    for name in names[:-1]:
        try:
            session = open_one(name)
        except MissingDependencyError as error:
            passed_over.append(str(error))
            continue
        return session
    session = open_one(names[-1])
    level = logging.WARNING if has_gpu else logging.INFO
    logger.log(level, "%s runs it; passed over: %s", session.label, "; ".join(passed_over))
    return session


def best_precision(package: Package, provider: Provider) -> str:
    """The graph that a provider runs fastest, of those the package holds and trusts."""
    graphs = package.spec.graphs
    for name in provider.precisions:
        if name in graphs and not graphs[name].lossy:
            return name
    return "fp32"  # if it is missing, too, the error says how to make it


def deep_graph(package: Package, provider: Provider, precision: str) -> str | None:
    """The graph with float edges that a provider runs fastest, or None if there is none."""
    graphs = package.spec.graphs
    wanted = (*provider.precisions, "fp32") if precision == "auto" else (precision,)
    names = (f"{one}-float" for one in wanted)
    return next((name for name in names if name in graphs and not graphs[name].lossy), None)


def _opened(package: Package, backend: str, precision: str, threads: int) -> Session:
    from vsrc.runtime.feature_ring import RingSession
    from vsrc.runtime.ort_halves import OrtHalves

    names = (f"encode-{precision}", f"fuse-{precision}")
    graphs = package.spec.graphs
    has_halves = all(name in graphs and not graphs[name].lossy for name in names)
    # Rings live in the memory of the host so far: on a GPU whole windows are faster.
    if not has_halves or provider_of(backend) is not CPU:
        return open_session(package, backend=backend, precision=precision, threads=threads)
    (encode, graph), (fuse, _) = (package.graph(name) for name in names)
    halves = OrtHalves(encode, fuse, network=package.spec.network, graph=graph, threads=threads)
    return RingSession(halves)


def _has_nvidia() -> bool:
    return any(Path("/dev").glob("nvidia[0-9]*")) or Path("/dev/nvhost-gpu").exists()
