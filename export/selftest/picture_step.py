"""Step 5: pictures of the engines against the CPU, and of the same engine in other ways."""

from __future__ import annotations

from collections import deque
from pathlib import Path

import numpy as np

from vsrc.export.graphs.check_frames import real_window
from vsrc.export.selftest.build_step import PACKAGE, USUAL_SIZE, find_backend, work_package
from vsrc.export.selftest.context import Context
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.engines import find_engines, open_engines, this_device
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.session import AsyncSession, PendingPixels, Session

_FRAMES = 24
_IN_FLIGHT = 200
_CPU_STEPS = 2
"""Largest difference of fp32 pictures, of 255: sums in another order, and TF32 in RTX's kernels."""

KeyedWindow = tuple[Pixels, tuple[int, ...]]


def try_pictures(context: Context) -> None:
    """Upscale real frames in several ways that must give the same."""
    backend = find_backend(quick=context.quick)
    package = open_package(work_package(context.work, PACKAGE))
    windows = _windows(_FRAMES)
    for name, keeps in (("whole", False), ("halves", True)):
        with context.attempt(f"{name} against the CPU") as said:
            found = _upscale(_open(package, backend, context.device, keeps=keeps), windows)
            expected = _upscale(package.session(backend="ort", precision="fp32"), windows)
            largest = int(np.abs(found.astype(np.int16) - expected).max())
            said.append(f"largest difference {largest} of 255")
            if largest > _CPU_STEPS:
                raise VsrcError(f"pictures differ by {largest} of 255, at most {_CPU_STEPS} may")
        with context.attempt(f"{name}, twice the same") as said:
            again = _upscale(_open(package, backend, context.device, keeps=keeps), windows)
            _require_equal(found, again)
        with context.attempt(f"{name}, {_IN_FLIGHT} in flight as one by one"):
            many = _windows(_IN_FLIGHT)
            session = _open(package, backend, context.device, keeps=keeps)
            ahead = _upscale(session, many, ahead=_IN_FLIGHT)
            one_by_one = _open(package, backend, context.device, keeps=keeps)
            _require_equal(ahead, _upscale(one_by_one, many))
    with context.attempt("graph as kernels"):
        graphs = _upscale(_open(package, backend, context.device, keeps=False), windows)
        _require_equal(graphs, _upscale(_without_graphs(package, backend, context.device), windows))


def _open(package: Package, backend: EngineBackend, device: int, *, keeps: bool) -> Session:
    return open_engines(
        package,
        backend=backend,
        precision="fp32",
        device=device,
        size=USUAL_SIZE,
        keeps_features=keeps,
    )


def _without_graphs(package: Package, backend: EngineBackend, device: int) -> Session:
    """The engine of the whole network, whose kernels are launched one by one."""
    from vsrc.runtime.backends.device.trt_engine import TrtEngine

    here = this_device(backend, device)
    reasons: list[str] = []
    engines = find_engines(package, "fp32", here, reasons)
    if not engines:
        raise VsrcError(f"no engine: {'; '.join(reasons)}")
    opened = []
    for each in engines:
        engine = TrtEngine(Path(each.path), backend)
        engine.is_capturable = False
        opened.append((engine, each.graph))
    gpu = CudaGpu(here.device)
    return DeviceSession(gpu, opened, network=package.spec.network, label=f"{backend} fp32")


def _windows(count: int) -> list[KeyedWindow]:
    """Windows of consecutive real frames, and the keys of their frames; frames repeat."""
    frames = real_window(min(count, _FRAMES), height=USUAL_SIZE[0], width=USUAL_SIZE[1])[0]
    keys = [np.clip((at - 1, at, at + 1), 0, count - 1).tolist() for at in range(count)]
    return [(frames[[at % len(frames) for at in key]][None], tuple(key)) for key in keys]


def _upscale(session: Session, windows: list[KeyedWindow], *, ahead: int = 0) -> Pixels:
    """Upscale, with some windows begun before the first is waited for, and close."""
    found: list[Pixels] = []
    waiting: deque[PendingPixels] = deque()
    try:
        for window, key in windows:
            if not isinstance(session, AsyncSession):
                found.append(session(window))
                continue
            waiting.append(session.start(window, [key]))
            if len(waiting) > ahead:
                found.append(waiting.popleft()())
        found += [pending() for pending in waiting]
    finally:
        session.close()
    return np.concatenate(found)


def _require_equal(first: Pixels, second: Pixels) -> None:
    if not np.array_equal(first, second):
        largest = int(np.abs(first.astype(np.int16) - second).max())
        share = float(np.mean(first != second))
        raise VsrcError(f"{100 * share:.2f} % of the values differ, by at most {largest} of 255")
