"""The CUDA devices of this machine: name, compute capability, processors and memory."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass, replace

from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.sensors.cuda_library import (
    MAJOR,
    MINOR,
    MULTIPROCESSORS,
    CudaError,
    CudaLibrary,
    load_cuda,
)

_VISIBLE = "CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class CudaDevice:
    """One GPU.

    Attributes:
        name: Name reported by the driver ("NVIDIA GeForce RTX 4090", "Orin").
        compute_capability: Compute capability, such as "8.9".
        free_bytes: Free device memory, bytes; all of it until the device is opened.
        index: Index of the device among those that CUDA_VISIBLE_DEVICES leaves.
        multiprocessors: Number of streaming multiprocessors that are present.
        total_bytes: Device memory, bytes; shared with the CPU on a Jetson.
        uuid: Identifier in NVML and nvidia-smi ("GPU-..."); empty if the driver does not tell.
    """

    name: str
    compute_capability: str
    free_bytes: int
    index: int = 0
    multiprocessors: int = 0
    total_bytes: int = 0
    uuid: str = ""

    def __str__(self) -> str:
        return f"{self.index}: {self.name} ({self.compute_capability})"


def list_devices() -> tuple[CudaDevice, ...]:
    """List the CUDA devices that this process may use, without opening any.

    Raises:
        MissingDependencyError: There is no CUDA runtime, no driver or no GPU.
    """
    library = load_cuda()
    try:
        count = int(library.call("cudaGetDeviceCount"))
    except CudaError as error:
        raise MissingDependencyError(_no_device(str(error))) from error
    if count == 0:
        raise MissingDependencyError(_no_device("the driver lists none"))
    try:
        return tuple(_describe(library, index) for index in range(count))
    except (CudaError, OSError) as error:
        raise MissingDependencyError(_no_device(str(error))) from error


def find_device(index: int = 0) -> CudaDevice:
    """Return the device of an index, without opening it.

    Raises:
        MissingDependencyError: There is no CUDA device.
        ValueError: There is no device of this index; lists the others.
    """
    devices = list_devices()
    if not 0 <= index < len(devices):
        raise ValueError(f"there is no CUDA device {index}; there are: {devices_text(devices)}")
    return devices[index]


def cuda_device(index: int = 0) -> CudaDevice:
    """Open a device for this thread, and query its free memory.

    Raises:
        MissingDependencyError: There is no CUDA device, or it cannot be used.
        ValueError: There is no device of this index; lists the others.
    """
    device, library = find_device(index), load_cuda()
    library.share_context(index)
    try:
        library.select(index)
        free, _ = library.call("cudaMemGetInfo")
    except CudaError as error:
        raise MissingDependencyError(
            f"CUDA device {index}, {device.name}, cannot be used ({error}); another program may "
            "use all of its memory"
        ) from error
    return replace(device, free_bytes=int(free))


def devices_text(devices: tuple[CudaDevice, ...]) -> str:
    """Format devices: "0: Orin (8.7), 1: ..."."""
    return ", ".join(map(str, devices))


def _describe(library: CudaLibrary, index: int) -> CudaDevice:
    def attribute(number: int) -> int:
        return int(library.call("cudaDeviceGetAttribute", number, index))

    handle = library.ask_driver("cuDeviceGet", index)
    total = int(library.ask_driver("cuDeviceTotalMem_v2", handle))
    return CudaDevice(
        name=library.device_name(handle),
        compute_capability=f"{attribute(MAJOR)}.{attribute(MINOR)}",
        free_bytes=total,
        index=index,
        multiprocessors=attribute(MULTIPROCESSORS),
        total_bytes=total,
        uuid=_uuid(library, handle),
    )


def _uuid(library: CudaLibrary, handle: int) -> str:
    try:
        return f"GPU-{uuid.UUID(bytes=library.device_uuid(handle))}"
    except CudaError:
        return ""


def _no_device(reason: str) -> str:
    visible = os.environ.get(_VISIBLE)
    hidden = "" if visible is None else f"{_VISIBLE}={visible} may hide it; "
    return (
        f"no CUDA device can be used ({reason}); {hidden}this needs an NVIDIA GPU and its driver: "
        "nvidia-smi shows whether both are there"
    )
