"""Query the CUDA device of this machine: name, compute capability and free memory."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.installation import explain_missing


@dataclass(frozen=True)
class CudaDevice:
    """One GPU.

    Attributes:
        name: Name reported by the driver ("NVIDIA GeForce RTX 4090", "Orin").
        compute_capability: Compute capability, such as "8.9".
        free_bytes: Free device memory, bytes.
    """

    name: str
    compute_capability: str
    free_bytes: int


def cuda_device() -> CudaDevice:
    """Query the driver for device 0.

    Raises:
        MissingDependencyError: cuda-bindings is not installed, or there is no driver or no GPU.
    """
    with explain_missing("cuda.bindings"):
        from cuda.bindings import runtime
    failed, properties = runtime.cudaGetDeviceProperties(0)
    if failed == runtime.cudaError_t.cudaSuccess:
        (failed,) = runtime.cudaSetDevice(0)
    if failed != runtime.cudaError_t.cudaSuccess:
        raise MissingDependencyError(
            f"there is no CUDA device 0 ({failed.name}); this needs an NVIDIA GPU and its "
            "driver: nvidia-smi shows whether both are there"
        )
    failed, free, _ = runtime.cudaMemGetInfo()
    if failed != runtime.cudaError_t.cudaSuccess:
        raise MissingDependencyError(
            f"CUDA device 0 cannot be used ({failed.name}); another program may use all of its "
            "memory"
        )
    name = properties.name.split(b"\0")[0].decode(errors="replace")
    return CudaDevice(name, f"{properties.major}.{properties.minor}", int(free))
