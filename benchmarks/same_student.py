"""The same student in bare loops of other runtimes: OpenVINO, and ncnn through pnnx.

pip install ncnn pnnx openvino
"""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np
import pnnx
import torch
from torch import Tensor, nn

from vsrc.benchmarks.ncnn_network import NcnnNetwork
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


class NcnnStudent(NcnnNetwork):
    """A student in ncnn on one thread, for windows of one size."""

    def __init__(self, package: Package, folder: Path, size: tuple[int, int]) -> None:
        window = package.spec.network.window
        network = Stacked(to_deployed(from_package(package)).eval(), window)
        example = torch.rand(1, 3 * window, *size)
        pnnx.export(network, str(folder / "student.pt"), (example,))
        super().__init__(folder / "student.ncnn", threads=1, source="in0", result="out0")

    def __call__(self, window: Pixels8) -> Pixels8:
        """`(T, H, W, 3)` to `(sH, sW, 3)`."""
        planes = np.moveaxis(window, -1, 1).reshape(-1, *window.shape[1:3])
        levels = planes.astype(np.float32) / np.float32(255)
        return self.upscale(ncnn.Mat(levels).clone())


class OpenVinoStudent:
    """A student in OpenVINO, window by window on one thread."""

    def __init__(self, package: Package, precision: str) -> None:
        path, _ = package.graph("fp32" if precision == "bf16" else precision)
        self._graph = CompiledGraph(path, precision=precision, plan=LanePlan(1, 1))

    def __call__(self, window: Pixels8) -> Pixels8:
        """`(T, H, W, 3)` to `(sH, sW, 3)`."""
        sr: Pixels8 = self._graph.run({"lr": np.ascontiguousarray(window[None])})["sr"][0]
        return sr
