"""A convolutional LSTM (Shi et al. 2015), without peepholes."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvLstm(nn.Module):
    """One cell, run over frames from a zero state.

        [x, h] ─ conv ─ i, f, o, g      c' = sigmoid(f) c + sigmoid(i) tanh(g)
                                        h' = sigmoid(o) tanh(c')

    Args:
        features: Channels of a frame.
        hidden: Channels of the state.
        kernel: Side of the convolution, odd; zeros outside.
    """

    def __init__(self, features: int, *, hidden: int, kernel: int = 3) -> None:
        super().__init__()
        self.hidden = hidden
        self.conv = nn.Conv2d(features + hidden, 4 * hidden, kernel, padding=kernel // 2)

    def forward(self, frames: Tensor) -> Tensor:
        """Return the cell state, `(N, hidden, H, W)`, after the T frames of `(N, T, C, H, W)`."""
        batch, _, _, height, width = frames.shape
        cell = hidden = frames.new_zeros(batch, self.hidden, height, width)
        for frame in frames.unbind(1):
            gates = self.conv(torch.cat((frame, hidden), dim=1))
            take, keep, show, candidate = gates.chunk(4, dim=1)
            cell = torch.sigmoid(keep) * cell + torch.sigmoid(take) * torch.tanh(candidate)
            hidden = torch.sigmoid(show) * torch.tanh(cell)
        return cell
