"""Sessions that anyone can check by eye: one enlarges, one runs out of memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.spec import GraphSpec, NetworkSpec

Frames = NDArray[np.uint8]

ANY = GraphSpec("none", "", 0, "fp32", "uint8", 18, (1, 9999), (1, 9999), (1, 99))
"""A graph that takes frames of any size."""


class Enlarger:
    """Repeats each pixel of the window's centre; with time_scale 2, each frame for its gap too.

    Attributes:
        fed: Copies of all windows, in the order they came.
    """

    label = "enlarger"
    graph = GraphSpec("none", "0" * 64, 0, "fp32", "uint8", 18, (1, 9999), (1, 9999), (1, 99))

    def __init__(self, scale: int = 2, window: int = 3, time_scale: int = 1) -> None:
        self.network = NetworkSpec(
            "enlarger", {}, scale, window, halo=0, parameters=0, gmac_per_lr_pixel=0.0,
            time_scale=time_scale,
        )  # fmt: skip
        self.fed: list[Frames] = []
        self.closed = False

    def __call__(self, lr: Frames, /) -> Frames:
        self.fed.append(lr.copy())
        scale = self.network.scale
        if self.network.time_scale == 2:
            lr = lr.repeat(2, axis=1)[:, :-1]
        else:
            lr = lr[:, lr.shape[1] // 2]
        return lr.repeat(scale, axis=-3).repeat(scale, axis=-2)

    def close(self) -> None:
        self.closed = True


class Hungry:
    """Copies the centre, unless it is asked for more pixels than it has memory for."""

    label, graph = "hungry", ANY
    network = NetworkSpec("hungry", {}, 1, 1, halo=2, parameters=0, gmac_per_lr_pixel=0)

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, lr: Frames, /) -> Frames:
        if lr.shape[2] * lr.shape[3] > self.most:
            raise DeviceMemoryError("no more memory")
        return lr[:, 0]

    def close(self) -> None:
        pass
