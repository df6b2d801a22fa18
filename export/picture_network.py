"""Put a network between pictures as they are in memory."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class PictureNetwork(nn.Module):
    """Takes and gives uint8 pictures: normalisation, layout, rounding and clipping inside.

    NVIDIA's parser takes uint8 only straight into, or straight out of, a Cast, so the casts are the
    first and the last node: `Cast -> Transpose -> network -> Clip -> Round -> Transpose -> Cast`.

    Args:
        network: Float network as in the table.
        window: Frames fed at once; 1 for an image network, which gets `(N, 3, H, W)`.
    """

    def __init__(self, network: nn.Module, *, window: int) -> None:
        super().__init__()
        self.network = network
        self.window = window

    def forward(self, lr: Tensor) -> Tensor:
        """`(N, T, H, W, 3)` uint8 to `(N, sH, sW, 3)` uint8, or `(N, T', sH, sW, 3)`."""
        frames = lr.to(torch.float32).movedim(-1, -3) * (1.0 / 255.0)
        sr = self.network(frames[:, 0] if self.window == 1 else frames)
        pictures = (sr.float() * 255.0).clamp(0.0, 255.0).round().movedim(-3, -1)
        answer: Tensor = pictures.to(torch.uint8)
        return answer


class FloatNetwork(nn.Module):
    """Takes and gives float pictures in [0, 1]: `(N, T, 3, H, W)` to `(N, 3, sH, sW)`, clipped.

    Args:
        network: Float network as in the table.
        window: Frames fed at once; 1 for an image network.
    """

    def __init__(self, network: nn.Module, *, window: int) -> None:
        super().__init__()
        self.network = network
        self.window = window

    def forward(self, lr: Tensor) -> Tensor:
        """Restore; see the class."""
        sr: Tensor = self.network(lr[:, 0] if self.window == 1 else lr)
        return sr.clamp(0.0, 1.0)
