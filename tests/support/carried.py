"""Small networks with a state, and the slow obvious loop that they are judged against."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks.layers.carried_state import SteppedNetwork
from vsrc.compressor.networks.video.mobile_rrn import MobileRrn
from vsrc.runtime.package import Package, open_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import nn

    Frames = NDArray[np.uint8]

OWN = '''
import torch
from torch import nn

from vsrc.runtime.spec import NetworkSpec


class Recurrent(nn.Module):
    """A hidden state of half the frame's size goes in after the frame, and comes out again."""

    def __init__(self, scale=2, channels=6):
        super().__init__()
        self.channels, self.scale = channels, scale
        self.cell = nn.Conv2d(12 + channels, channels, 3, padding=1)
        self.out = nn.Conv2d(channels, 3 * (2 * scale) ** 2, 3, padding=1)

    @property
    def spec(self):
        return NetworkSpec(
            name="own", arguments={}, scale=self.scale, window=1, halo=4, size_multiple=2,
            parameters=sum(p.numel() for p in self.parameters()), gmac_per_lr_pixel=1e-6,
        )

    def forward(self, lr, hidden=None):
        packed = nn.functional.pixel_unshuffle(lr, 2)
        if hidden is None:
            hidden = packed.new_zeros(packed.shape[0], self.channels, *packed.shape[2:])
        hidden = torch.sigmoid(self.cell(torch.cat((packed, hidden), 1)))
        base = nn.functional.interpolate(lr, scale_factor=self.scale, mode="nearest")
        return base + nn.functional.pixel_shuffle(self.out(hidden), 2 * self.scale), hidden
'''
"""Text of a user's module, whose spec names no state."""


def rrn() -> MobileRrn:
    """Mobile RRN of 8 features and one block, x2, whose state matters as much as the frame."""
    torch.manual_seed(0)
    network = MobileRrn(scale=2, features=8, blocks=1)
    with torch.no_grad():
        network.last.weight.mul_(200)
        network.first.weight[:, :6].div_(60)
        network.first.weight[:, 6:].mul_(2)
        network.state.weight.mul_(3)
    network.eval()
    return network


def write_rrn(folder: Path) -> Package:
    """Write a package of `rrn`, without graphs."""
    return open_package(write_package(rrn(), folder / "rrn.vsrc"))


@contextmanager
def open_own_module(folder: Path) -> Iterator[str]:
    """Make `OWN` importable; yields the name of its network."""
    (folder / "own_recurrent.py").write_text(OWN)
    sys.path.append(str(folder))
    try:
        yield "own_recurrent:Recurrent"
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop("own_recurrent", None)


def slow_loop(network: nn.Module, frames: Frames, cuts: Sequence[int] = ()) -> Frames:
    """Upscale frame by frame; the state, and the frame before, start over at each cut.

    Args:
        network: A network with a state.
        frames: LR frames, `(L, H, W, 3)`.
        cuts: Frames that start a shot, besides the first.

    Returns:
        `(L, sH, sW, 3)`, rounded and clipped.
    """
    spec = spec_of(network)
    lr = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    restored = []
    state: tuple[torch.Tensor, ...] = ()
    for at in range(len(lr)):
        if at == 0 or at in cuts:
            height, width = lr.shape[2:]
            state = tuple(
                torch.zeros(1, s.channels, height // s.stride, width // s.stride)
                for s in spec.state
            )
        with torch.inference_mode():
            if isinstance(network, SteppedNetwork):
                before = at if at == 0 or at in cuts else at - 1
                sr, *following = network.step(lr[[before, at]][None], *state)
            else:
                sr, *following = network(lr[at : at + 1], *state)
        state = tuple(following)
        restored.append((sr[0].clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())
    return np.stack(restored)
