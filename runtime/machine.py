"""What this machine is, and how fast it multiplies and copies: the yardstick of every report."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

MATMUL_GRAPH = Path(__file__).resolve().parent / "assets" / "matmul.onnx"
"""`c = MatMul(a, b)`, float32, any sizes: the smallest graph that is worth timing."""

_SIDES = (512, 1024)  # 3 MB fit a core's own cache, 12 MB do not; the better one counts
_COPY_BYTES = 128 << 20  # well past every cache
_SECONDS = 0.4  # time for each rate; the fastest repetition counts, so others' work costs little


@dataclass(frozen=True)
class Machine:
    """What the machine is; None where it does not say.

    Attributes:
        cpu: Model of the processor.
        architecture: `x86_64`, `aarch64`, ...
        cores: Cores that this process may run on.
        core_limit: Cores' worth of time that its control group allows, None for no limit.
        memory_bytes: Main memory.
        system: Operating system and version.
        load_average: Mean number of processes that wanted a core during the last minute.
    """

    cpu: str | None
    architecture: str
    cores: int
    core_limit: float | None
    memory_bytes: int | None
    system: str
    load_average: float | None


@dataclass(frozen=True)
class Rates:
    """How fast the machine is at the two things that networks are made of.

    Attributes:
        threads: Threads for `matmul_gflop_per_s`.
        matmul_gflop_per_s: Multiplication of float32 matrices, 1e9 operations a second (a
            multiply-add counts as two), by the same library and threads that run the network.
        matmul_one_thread_gflop_per_s: The same with one thread.
        copy_gb_per_s: Copying in main memory with one thread, 1e9 bytes read plus written a second
            (as STREAM counts).
    """

    threads: int
    matmul_gflop_per_s: float
    matmul_one_thread_gflop_per_s: float
    copy_gb_per_s: float


def this_machine() -> Machine:
    """Read what the machine says of itself."""
    return Machine(
        cpu=_cpu_model(),
        architecture=platform.machine(),
        cores=core_count(),
        core_limit=_core_limit(Path("/sys/fs/cgroup/cpu.max")),
        memory_bytes=_memory_bytes(),
        system=f"{platform.system()} {platform.release()}",
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def core_count() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def measure_rates(*, threads: int) -> Rates:
    """Measure with ONNX Runtime; takes about two seconds.

    Args:
        threads: Threads inside one operator, 0 for as many as there are cores.
    """
    threads = threads or core_count()
    alone = _matmul_gflop_per_s(1)
    return Rates(
        threads=threads,
        matmul_gflop_per_s=alone if threads == 1 else _matmul_gflop_per_s(threads),
        matmul_one_thread_gflop_per_s=alone,
        copy_gb_per_s=_copy_gb_per_s(),
    )


def peak_memory_bytes() -> int | None:
    """Most main memory that this process ever held, bytes; None where the kernel does not say.

    `VmHWM` and not `getrusage`: the latter starts at the size of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(sizes[0]) * 1024 if sizes else None


def _matmul_gflop_per_s(threads: int) -> float:
    from vsrc.runtime.ort import open_ort

    session = open_ort(MATMUL_GRAPH, threads=threads)
    generator = np.random.default_rng(0)
    best = 0.0
    for side in _SIDES:
        a, b = generator.random((2, side, side), dtype=np.float32)
        seconds = _fastest(partial(session.run, None, {"a": a, "b": b}))
        best = max(best, 2 * side**3 / seconds / 1e9)
    return best


def _copy_gb_per_s() -> float:
    source = np.ones(_COPY_BYTES, dtype=np.uint8)
    target = np.zeros_like(source)
    return 2 * _COPY_BYTES / _fastest(partial(np.copyto, target, source)) / 1e9


def _fastest(call: Callable[[], object]) -> float:
    """Seconds of the fastest of the calls that fit into the time, three at least."""
    call()
    durations: list[float] = []
    while len(durations) < 3 or sum(durations) < _SECONDS:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return min(durations)


def _cpu_model() -> str | None:
    """From `/proc/cpuinfo` on x86, from the device tree on boards, else what Python knows."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware") and value.strip():
                return value.strip()
    except OSError:
        pass
    return board_model() or platform.processor() or None


def board_model(path: Path = Path("/proc/device-tree/model")) -> str | None:
    """Model of a single-board computer ("NVIDIA Jetson Orin Nano ..."); None elsewhere."""
    try:
        # Device tree strings end in a zero byte.
        return path.read_text(encoding="utf-8").rstrip("\0").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def _core_limit(path: Path) -> float | None:
    """Quota over period of a version 2 control group: "200000 100000" is two cores."""
    try:
        quota, period = path.read_text(encoding="ascii").split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError, AttributeError):
        return None
