"""Wrap a network, or its encode or fuse part, with conversion of 8-bit images.

    whole     lr ─ enter ─ network ──────────────── leave ─ sr
    step      lr ─ enter ──┬─ network.step ─┬────── leave ─ sr
              state ───────┘                └────────────── next_state
    encode    lr ─ enter ─ network.encode ─ features
    fuse      features ───────────┬─ network.fuse ─ leave ─ sr
              centre ─── enter ───┘

NVIDIA's parser accepts uint8 only directly before or after a Cast. So for uint8 images the casts
are the first and the last node: `Cast -> Transpose -> network -> Clip -> Round -> Transpose ->
    Cast`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.carried_state import run_step
from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder
from vsrc.compressor.networks.layers.stacked_frames import StackedFrames
from vsrc.runtime.spec import GraphIo, GraphLayout


@dataclass(frozen=True)
class Ends:
    """Conversions at the inputs and outputs of a graph.

    Attributes:
        enter: Converts the graph's input to float `(..., 3, H, W)` in [0, 1].
        leave: Converts the network's output, `(..., 3, sH, sW)` unclipped, to the graph's output.
    """

    enter: Callable[[Tensor], Tensor]
    leave: Callable[[Tensor], Tensor]


def _from_pictures(lr: Tensor) -> Tensor:
    return lr.to(torch.float32).movedim(-1, -3) * (1.0 / 255.0)


def _to_pictures(sr: Tensor) -> Tensor:
    pictures = (sr.float() * 255.0).clamp(0.0, 255.0).round().movedim(-3, -1)
    return pictures.to(torch.uint8)


ENDS: dict[GraphIo, Ends] = {
    "uint8": Ends(_from_pictures, _to_pictures),
    "float": Ends(lambda lr: lr, lambda sr: sr.clamp(0.0, 1.0)),
}
"""Images `(..., H, W, 3)` uint8, or float `(..., 3, H, W)` in [0, 1]."""


class WholeGraph(nn.Module):
    """The whole network: `(N, T, ...)` frames in, `(N, ...)` or `(N, T', ...)` frames out.

    Args:
        network: Float network of the table.
        ends: Conversions of input and output.
        window: Frames fed at once; 1 for an image network, whose input is `(N, 3, H, W)`.
        layout: Axes of float frames: `window`, or `stacked` in the channels, `(N, 3 T, H, W)`.
    """

    def __init__(
        self, network: nn.Module, ends: Ends, *, window: int, layout: GraphLayout = "window"
    ) -> None:
        super().__init__()
        self.network, self.ends, self.window, self.layout = network, ends, window, layout

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale; see the class."""
        frames = self.ends.enter(lr)
        if self.layout == "stacked":
            return self.ends.leave(self._upscale_stacked(frames))
        return self.ends.leave(self.network(frames[:, 0] if self.window == 1 else frames))

    def _upscale_stacked(self, frames: Tensor) -> Tensor:
        """Upscale `(N, 3 T, H, W)`; with four axes throughout where the network can."""
        if isinstance(self.network, StackedFrames):
            return self.network.forward_stacked(frames)
        if self.window > 1:
            frames = frames.reshape(frames.shape[0], self.window, 3, *frames.shape[2:])
        sr: Tensor = self.network(frames)
        return sr


class StepGraph(nn.Module):
    """A window `(N, T, ...)` and the state in; `(N, ...)` pictures, then the next state out.

    Args:
        network: Float network with a state.
        ends: Conversions of input and output.
    """

    def __init__(self, network: nn.Module, ends: Ends) -> None:
        super().__init__()
        self.network, self.ends = network, ends

    def forward(self, lr: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Upscale one frame; see the class."""
        sr, following = run_step(self.network, self.ends.enter(lr), tuple(state))
        return self.ends.leave(sr), *following


class EncodeGraph(nn.Module):
    """A frame `(N, ...)`, or a run of them `(N, F, ...)`, in; feature maps `(N, C, h, w)` out.

    Args:
        network: Float network in two parts.
        ends: Conversion of the input.
    """

    def __init__(self, network: FrameEncoder, ends: Ends) -> None:
        super().__init__()
        self.network, self.ends = network, ends

    def forward(self, lr: Tensor) -> tuple[Tensor, ...]:
        """Compute features; see the class."""
        return self.network.encode(self.ends.enter(lr))


class FuseGraph(nn.Module):
    """Feature maps `(N, T - F + 1, C, h, w)` and centre frame in; output of the whole network out.

    Args:
        network: Float network in two parts.
        ends: How frames enter and leave.
    """

    def __init__(self, network: FrameEncoder, ends: Ends) -> None:
        super().__init__()
        self.network, self.ends = network, ends

    def forward(self, features: tuple[Tensor, ...], centre: Tensor) -> Tensor:
        """Upscale; see the class."""
        return self.ends.leave(self.network.fuse(features, self.ends.enter(centre)))
