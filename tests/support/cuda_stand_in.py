"""The CUDA runtime of cuda_stand_in.c, compiled with cc, in the place of NVIDIA's.

What calls it is the code that calls CUDA, so names, arguments and their types are the real ones.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from support.reordering_gpu import Work
from vsrc.runtime.backends.device.cuda_gpu import CudaGpu
from vsrc.runtime.backends.device.gpu import GpuStream
from vsrc.runtime.sensors import cuda_library
from vsrc.runtime.sensors.cuda_library import load_cuda

SOURCE = Path(__file__).with_suffix(".c")
KINDS = {"blocks": 1, "streams": 2, "events": 3, "graphs": 4, "instances": 5}
_CALL = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def compile_stand_in(folder: Path, name: str = "libcudart.so.12") -> Path:
    """Compile the library into a folder; skips where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    path = folder / name
    options = ["-O1", "-shared", "-fPIC", "-pthread"]
    subprocess.run([compiler, *options, "-o", str(path), str(SOURCE)], check=True)
    return path


@contextmanager
def in_place_of_cuda(
    path: Path, *, after: tuple[str, ...] = (), **settings: int
) -> Iterator[ctypes.CDLL]:
    """Let vsrc find this runtime, after other paths; `settings` are its environment: DEVICES=2."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(f"STAND_IN_{name}", str(value))
        patch.setattr(cuda_library, "runtime_paths", lambda: [*after, str(path)])
        patch.setattr(cuda_library, "_DRIVER", str(path))
        load_cuda.cache_clear()
        library = ctypes.CDLL(str(path))
        library.stand_in_reset()
        try:
            yield library
        finally:
            load_cuda.cache_clear()


def alive(library: ctypes.CDLL) -> dict[str, int]:
    """What exists on the device, by kind; kinds of which there is nothing are left out."""
    counts = {name: library.stand_in_alive(kind) for name, kind in KINDS.items()}
    return {name: count for name, count in counts.items() if count}


class StandInGpu(CudaGpu):
    """`CudaGpu` on the stand-in, where a `HostEngine` can run: as functions of the host."""

    def __init__(self, *arguments: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments)
        self._library = ctypes.CDLL(self._cuda.path)
        self._library.cudaLaunchHostFunc.argtypes = (ctypes.c_void_p, _CALL, ctypes.c_void_p)
        self._calls: list[Any] = []  # a graph may call them again
        self.errors: list[BaseException] = []

    def give(self, stream: GpuStream, work: Work) -> None:
        def do(_: object) -> None:
            try:
                work.do()
            except BaseException as error:  # it cannot pass through C
                self.errors.append(error)

        self._calls.append(_CALL(do))
        assert self._library.cudaLaunchHostFunc(stream, self._calls[-1], None) == 0

    def read(self, address: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        size = int(np.prod(shape)) * dtype.itemsize
        memory = (ctypes.c_uint8 * size).from_address(address)
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)


def environment(folder: Path, **settings: int) -> dict[str, str]:
    """Of a process whose loader finds the library before any other."""
    return {
        **os.environ,
        "LD_LIBRARY_PATH": str(folder),
        **{f"STAND_IN_{name}": str(value) for name, value in settings.items()},
    }
