"""A network in ncnn on the CPU.

pip install ncnn
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TypeVar

import ncnn
import numpy as np

from vsrc.runtime.pixels import Pixels8

N = TypeVar("N", bound="NcnnNetwork")


class NcnnNetwork:
    """The network of a pair of files.

    Args:
        files: Path of both without `.param` and `.bin`.
        threads: Threads of ncnn; those that wait count as CPU time.
        source: Name of its input.
        result: Name of its output.

    Raises:
        SystemExit: ncnn cannot read the files.
    """

    def __init__(self, files: Path, *, threads: int, source: str, result: str) -> None:
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads
        self._net.opt.use_vulkan_compute = False
        self._source, self._result = source, result
        for load, ending in ((self._net.load_param, "param"), (self._net.load_model, "bin")):
            if load(f"{files}.{ending}"):
                raise SystemExit(f"ncnn cannot read {files.name}.{ending}")

    def upscale(self, values: ncnn.Mat) -> Pixels8:
        """Run the network.

        Args:
            values: `(C, H, W)` float32 in [0, 1].

        Returns:
            `(sH, sW, 3)`.

        Raises:
            SystemExit: ncnn failed.
        """
        with self._net.create_extractor() as extractor:
            extractor.input(self._source, values)
            status, sr = extractor.extract(self._result)
        if status:
            raise SystemExit(f"ncnn failed with status {status}")
        rounded = np.clip(np.rint(np.array(sr) * 255), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(rounded.transpose(1, 2, 0))

    def __enter__(self: N) -> N:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._net.clear()
