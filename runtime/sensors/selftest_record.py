"""Which devices passed a self-test: files in the user's cache folder, named by a hash of each.

What a self-test proves holds for one GPU with one driver: another driver is another file.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.machine import cache_folder
from vsrc.runtime.sensors.cuda_device import CudaDevice, find_device
from vsrc.runtime.sensors.cuda_library import load_cuda


def remember_selftest(device: CudaDevice) -> None:
    """Note that encoding and decoding passed on a device."""
    place = _note(device)
    with suppress(OSError):  # then the hardware is used only where it is asked for
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def forget_selftest(device: CudaDevice) -> None:
    """Remove the note of a device that failed."""
    with suppress(OSError):
        _note(device).unlink(missing_ok=True)


def has_passed_selftest(index: int) -> bool:
    """Whether the device of an index has passed; False where there is none."""
    try:
        return _note(find_device(index)).is_file()
    except (MissingDependencyError, ValueError):
        return False


def _note(device: CudaDevice) -> Path:
    driver = load_cuda().versions.driver
    words = (device.uuid or device.name, device.compute_capability, driver)
    return cache_folder() / "selftests" / hashlib.sha256(repr(words).encode()).hexdigest()
