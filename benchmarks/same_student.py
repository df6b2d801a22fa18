"""The same student in bare loops of other runtimes: OpenVINO, and ncnn through pnnx.

pip install ncnn pnnx openvino
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import ncnn
import numpy as np
import pnnx
import torch
from torch import Tensor, nn

from vsrc.compressor.networks.loading.packaged import from_package, to_deployed
from vsrc.runtime.backends.lane_trial import LanePlan
from vsrc.runtime.backends.openvino_session import CompiledGraph
from vsrc.runtime.package import Package
from vsrc.runtime.pixels import Pixels8


class Stacked(nn.Module):
    """A network that takes the frames of a window in the channels, as ncnn has no time axis."""

    def __init__(self, network: nn.Module, window: int) -> None:
        super().__init__()
        self.network, self.window = network, window

    def forward(self, lr: Tensor) -> Tensor:
        """`(1, 3 T, H, W)` to `(1, 3, sH, sW)`."""
        count, _, height, width = lr.shape
        upscaled: Tensor = self.network(lr.reshape(count, self.window, 3, height, width))
        return upscaled


class NcnnStudent:
    """A student in ncnn, for windows of one size."""

    def __init__(self, package: Package, folder: Path, size: tuple[int, int]) -> None:
        window = package.spec.network.window
        network = Stacked(to_deployed(from_package(package)).eval(), window)
        example = torch.rand(1, 3 * window, *size)
        pnnx.export(network, str(folder / "student.pt"), (example,))
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1  # threads that wait count as work
        for load, ending in ((self._net.load_param, "param"), (self._net.load_model, "bin")):
            if load(str(folder / f"student.ncnn.{ending}")):
                raise SystemExit(f"ncnn cannot read student.ncnn.{ending}")

    def __call__(self, window: Pixels8) -> Pixels8:
        """`(T, H, W, 3)` to `(sH, sW, 3)`."""
        planes = np.moveaxis(window, -1, 1).reshape(-1, *window.shape[1:3])
        levels = planes.astype(np.float32) / np.float32(255)
        with self._net.create_extractor() as extractor:
            extractor.input("in0", ncnn.Mat(levels).clone())
            status, sr = extractor.extract("out0")
        if status:
            raise SystemExit(f"ncnn failed with status {status}")
        rounded = np.clip(np.rint(np.array(sr) * 255), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(rounded.transpose(1, 2, 0))

    def __enter__(self) -> NcnnStudent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._net.clear()


class OpenVinoStudent:
    """A student in OpenVINO, window by window on one thread."""

    def __init__(self, package: Package, precision: str) -> None:
        path, _ = package.graph("fp32" if precision == "bf16" else precision)
        self._graph = CompiledGraph(path, precision=precision, plan=LanePlan(1, 1))

    def __call__(self, window: Pixels8) -> Pixels8:
        """`(T, H, W, 3)` to `(sH, sW, 3)`."""
        sr: Pixels8 = self._graph.run({"lr": np.ascontiguousarray(window[None])})["sr"][0]
        return sr
