"""Properties of this machine, read with the standard library alone."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated

from vsrc.runtime.schema import AtLeastOne, Limits, Positive

_CPU_INFO = Path("/proc/cpuinfo")
_CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")


@dataclass(frozen=True)
class Machine:
    """Properties of the machine; None where unknown.

    Attributes:
        cpu: Model of the processor or board.
        architecture: Processor architecture: `x86_64`, `aarch64`, ...
        cores: Number of cores that this process may run on.
        core_limit: CPU quota of its control group, cores; None for no limit.
        memory_bytes: Main memory, bytes.
        system: Operating system and version.
        load_average: Load average of the last minute, processes.
    """

    cpu: str | None
    architecture: str
    cores: AtLeastOne
    core_limit: Positive | None
    memory_bytes: Annotated[int, Limits(above=0)] | None
    system: str
    load_average: float | None

    def __str__(self) -> str:
        """Processor, number of cores and operating system, for people."""
        return f"{self.cpu or self.architecture}, {cores_text(self.cores)}, {self.system}"


def cores_text(cores: int) -> str:
    """Format a number of cores: `1 core`, `8 cores`."""
    return f"{cores} core{'' if cores == 1 else 's'}"


def this_machine() -> Machine:
    """Read the properties of this machine."""
    return Machine(
        cpu=_cpu_model(),
        architecture=platform.machine(),
        cores=core_count(),
        core_limit=_core_limit(_CPU_QUOTA),
        memory_bytes=_memory_bytes(),
        system=f"{platform.system()} {platform.release()}",
        load_average=os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    )


def machine_null_reasons(machine: Machine) -> dict[str, str]:
    """Return `machine.FIELD` of each unknown field -> reason."""
    reasons = {
        "cpu": "neither /proc/cpuinfo nor the device tree names it",
        "core_limit": "the control group sets no limit",
        "memory_bytes": "the system does not report it",
        "load_average": "the system does not report it",
    }
    return {
        f"machine.{name}": why for name, why in reasons.items() if getattr(machine, name) is None
    }


def core_count() -> int:
    """Return the number of cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def thread_count(threads: int = 0) -> int:
    """Return the number of threads to use.

    Args:
        threads: As asked for; 0 for as many as the cores and the CPU quota of the control group
            let work at the same time.
    """
    if threads:
        return threads
    limit = _core_limit(_CPU_QUOTA)
    return core_count() if limit is None else max(1, min(core_count(), ceil(limit)))


def has_bf16() -> bool:
    """Whether this CPU multiplies bfloat16: AVX512-BF16 or AMX on x86, BF16 on Arm."""
    try:
        lines = _CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(flags.split())


def peak_memory_bytes() -> int | None:
    """Return the peak resident memory of this process, bytes; None where the kernel has no value.

    From `VmHWM`, not `getrusage`, which starts at the size of the parent process.
    """
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    sizes = [line.split()[1] for line in lines if line.startswith("VmHWM:")]
    return int(sizes[0]) * 1024 if sizes else None


def _cpu_model() -> str | None:
    """Read from `/proc/cpuinfo` on x86, from the device tree on boards, else from Python."""
    try:
        for line in _CPU_INFO.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Hardware") and value.strip():
                return value.strip()
    except OSError:
        pass
    return board_model() or platform.processor() or None


def board_model(path: Path = Path("/proc/device-tree/model")) -> str | None:
    """Return the model of a single-board computer ("NVIDIA Jetson Orin Nano ..."), or None."""
    try:
        # Device tree strings end in a zero byte.
        return path.read_text(encoding="utf-8").rstrip("\0").strip() or None
    except (OSError, UnicodeDecodeError):
        return None


def has_nvidia_device(root: Path = Path("/")) -> bool:
    """Whether there is an NVIDIA GPU, as far as its device files tell; nothing is loaded for that.

    Args:
        root: Folder that contains `/dev`, `/proc` and `/etc`; another one in tests.
    """
    names = ("nvidiactl", "nvidia0", "nvhost-gpu", "dxg")  # PCIe, Jetson, and WSL
    is_linux = platform.system() == "Linux"
    return not is_linux or is_jetson(root) or any((root / "dev" / name).exists() for name in names)


def is_jetson(root: Path = Path("/")) -> bool:
    """Whether this is an NVIDIA Jetson, also on a carrier board whose model does not say so.

    Args:
        root: Folder that contains `/proc` and `/etc`; another one in tests.
    """
    model = board_model(root / "proc/device-tree/model") or ""
    if "jetson" in model.lower() or (root / "etc/nv_tegra_release").exists():
        return True
    try:
        return "nvidia,tegra" in (root / "proc/device-tree/compatible").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return False


def _core_limit(path: Path) -> float | None:
    """Return quota over period of a version 2 control group: "200000 100000" is two cores."""
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


def cache_folder() -> Path:
    """Return `$XDG_CACHE_HOME/vsrc`, or `~/.cache/vsrc`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vsrc"
