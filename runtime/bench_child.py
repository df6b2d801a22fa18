"""The measuring half of `vsrc bench`: runs in a process of its own that has loaded nothing else.

See `vsrc.runtime.fresh_process` for why and how. Heavy imports are inside functions because their
time is part of what is measured.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.bench_config import SAMPLES_FOR_P99, BenchConfig, BenchProgress
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.fresh_process import Message, answer

if TYPE_CHECKING:
    from vsrc.runtime.measurement import Measurement
    from vsrc.runtime.sampling import Plan
    from vsrc.runtime.spec import GraphSpec

_LIBRARIES = {"auto": "onnxruntime", "ort": "onnxruntime"}
"""Backend -> what it imports, so that importing it does not count as loading the model."""

_PROGRESS_SECONDS = 0.2


def config_to_request(config: BenchConfig) -> Message:
    """The configuration as the child reads it."""
    return {**asdict(config), "model": str(config.model)}


def measure(config: BenchConfig, tell: Callable[[BenchProgress], None]) -> Measurement:
    """Measure in this process; honest only in one that has done nothing else before.

    Args:
        config: What to measure; its model is a path.
        tell: Told about progress, a few times a second.

    Raises:
        VsrcError: The package cannot be opened or run, or takes no frames of this shape.
    """
    tell(BenchProgress("load"))
    start = time.perf_counter()
    import numpy as np

    from vsrc.runtime.machine import peak_memory_bytes
    from vsrc.runtime.measurement import Measurement
    from vsrc.runtime.package import open_package
    from vsrc.runtime.rates import measure_rates
    from vsrc.runtime.sampling import take_samples
    from vsrc.runtime.versions import loaded_versions

    with suppress(ImportError):  # opening the session says what is missing
        importlib.import_module(_LIBRARIES.get(config.backend, "numpy"))
    imported = time.perf_counter()

    before_load_bytes = peak_memory_bytes()
    assert config.model is not None
    package = open_package(config.model)
    opened = time.perf_counter()
    session = package.session(
        backend=config.backend, precision=config.precision, threads=config.threads
    )
    loaded = time.perf_counter()
    _check_shape(config.shape, session.graph)

    shape = (1, session.network.window, *config.shape, 3)
    lr = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    first_start = time.perf_counter()
    sr = session(lr)
    first_end = time.perf_counter()
    series = take_samples(lambda: session(lr), _plan(config), progress=_throttled(tell))
    peak_bytes = peak_memory_bytes()
    session.close()

    tell(BenchProgress("machine"))
    return Measurement(
        import_ms=(imported - start) * 1000,
        load_ms=(loaded - opened) * 1000,
        first_inference_ms=(first_end - first_start) * 1000,
        series=series,
        frames_per_run=sr.shape[1] if sr.ndim == 5 else 1,
        session=session.label,
        graph_sha256=session.graph.sha256,
        precision=session.graph.precision,
        before_load_bytes=before_load_bytes,
        peak_bytes=peak_bytes,
        rates=measure_rates(threads=config.threads),
        versions=loaded_versions(),
    )


def main() -> None:
    """Answer one request: a `BenchConfig`, with a `Measurement`."""
    answer(_answer)


def _answer(request: Message, tell: Callable[[Message], None]) -> Message:
    values = request | {"model": Path(request["model"]), "shape": tuple(request["shape"])}
    return asdict(measure(BenchConfig(**values), lambda step: tell(asdict(step))))


def _check_shape(shape: tuple[int, int], graph: GraphSpec) -> None:
    """A session pads frames that are too small; timing those would flatter or slander the size."""
    for axis, size, (least, most) in zip("HW", shape, (graph.height, graph.width), strict=True):
        if not least <= size <= most:
            takes = f"{least} only" if least == most else f"{least} to {most}"
            raise MismatchError(
                f"{axis}={size} is not a size that {graph.file} takes ({takes} LR pixels); "
                "choose another --shape, or export the package for this one"
            )


def _plan(config: BenchConfig) -> Plan:
    from vsrc.runtime.sampling import Plan

    if config.iterations is not None:
        return Plan(samples=config.iterations)
    least = SAMPLES_FOR_P99 if config.max_p99_ms is not None else 1
    return Plan(samples=least, seconds=config.seconds)


def _throttled(tell: Callable[[BenchProgress], None]) -> Callable[[int, float], None]:
    """Progress a few times a second, so that telling it costs the samples nothing."""
    last = 0.0

    def progress(samples: int, seconds: float) -> None:
        nonlocal last
        if seconds - last >= _PROGRESS_SECONDS:
            last = seconds
            tell(BenchProgress("sample", samples=samples, seconds=seconds))

    return progress
