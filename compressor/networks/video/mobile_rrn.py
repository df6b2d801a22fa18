"""Mobile RRN: a small recurrent residual network (MediaTek, Mobile AI challenge 2022).

    frame t-1 ─┐
    frame t   ─┼─ concat ─ first ─ ReLU ─ 5 residual blocks ─┬─ last ─ shuffle ─ + ─ SR of t
    state t-1 ─┘                                             └─ state ─ ReLU ─ state t
                                     frame t, upscaled bilinearly ─────────────┘

The frame before the first is the first; the state before it is zero. Run forwards and backwards in
time and averaged, every output depends on both sides. The released weights expect 0..255, which
is handled here: input and output are in [0, 1].
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.layers.blocks import ResidualBlock
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.spec import Argument, NetworkSpec, StateSpec

_RELEASED = [
    *((rf"b{index}a\.(.*)", rf"body.{index}.conv1.\1") for index in range(32)),
    *((rf"b{index}b\.(.*)", rf"body.{index}.conv2.\1") for index in range(32)),
    (r"hid\.(.*)", r"state.\1"),
]


class MobileRrn(nn.Module):
    """Mobile RRN: 36k, 127k and 474k parameters at 16, 32 and 64 features and x4.

    Args:
        scale: SR/LR side ratio.
        features: Channels of body and state.
        blocks: Residual blocks.
        window: Number of frames fed at once where it runs in both directions, odd.
        both_directions: Whether to run backwards in time, too, and average; it then needs the whole
            clip (or a window of it) at once, and carries no state from call to call.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        features: int = 64,
        blocks: int = 5,
        window: int = 5,
        both_directions: bool = False,
    ) -> None:
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise ValueError(f"{window=} must be odd and at least 1")
        self.arguments: dict[str, Argument] = {
            "scale": scale,
            "features": features,
            "blocks": blocks,
            "window": window,
            "both_directions": both_directions,
        }
        self.scale, self.features, self.window = scale, features, window
        self.both_directions = both_directions
        self.first = nn.Conv2d(3 + 3 + features, features, 3, padding=1)
        self.body: nn.ModuleList = nn.ModuleList(ResidualBlock(features) for _ in range(blocks))
        self.last = nn.Conv2d(features, 3 * scale * scale, 3, padding=1)
        self.state = nn.Conv2d(features, features, 3, padding=1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo, state and taps of the network."""
        blocks = len(self.body)
        steps = self.window // 2 + 1 if self.both_directions else 1
        counted = self.window if self.both_directions else 1
        carried = () if self.both_directions else (StateSpec("state", self.features),)
        return NetworkSpec(
            name="mobile-rrn",
            arguments=self.arguments,
            scale=self.scale,
            window=self.window if self.both_directions else 2,
            halo=steps * (2 * blocks + 2),
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=counted),
            stages=("first", *(f"body.{index}" for index in range(blocks))),
            state=carried,
        )

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert the released arrays, in TensorFlow's channel order of the shuffle, to ours."""
        if "hid.w" not in state:
            return dict(state)
        endings = {"w": "weight", "b": "bias"}
        arrays = {
            f"{layer}.{endings.get(ending, ending)}": tensor
            for layer, _, ending in (name.rpartition(".") for name in state)
            for tensor in (state[f"{layer}.{ending}"],)
        }
        for name in ("last.weight", "last.bias"):
            rows = arrays[name]  # (dy, dx, colour) there, (colour, dy, dx) here
            by_place = rows.reshape(self.scale**2, 3, *rows.shape[1:])
            arrays[name] = by_place.transpose(0, 1).flatten(0, 1).contiguous()
        return rename(arrays, _RELEASED)

    def step(self, lr: Tensor, /, *state: Tensor) -> tuple[Tensor, Tensor]:
        """Process one frame; see `SteppedNetwork`.

        Args:
            lr: Previous frame and the frame to upscale, `(N, 2, 3, H, W)` in [0, 1].
            state: `(N, features, H, W)`; zero at the start of a shot.

        Returns:
            The upscaled frame, `(N, 3, sH, sW)`, not clipped, and the next state.
        """
        previous, current = lr.unbind(1)
        return self._restore(previous, current, *state)

    def _restore(self, previous: Tensor, current: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.first(torch.cat((previous * 255, current * 255, state), dim=1)))
        for block in self.body:
            x = block(x)
        residual = F.pixel_shuffle(self.last(x), self.scale)
        base = F.interpolate(
            current, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )
        return base + residual / 255, torch.relu(self.state(x))

    def upscale_clip(self, clip: Tensor) -> Tensor:
        """Upscale all frames of a clip.

        Args:
            clip: `(N, T, 3, H, W)` float32 RGB in [0, 1], one shot.

        Returns:
            `(N, T, 3, sH, sW)`, not clipped.
        """
        frames = clip.unbind(1)
        upscaled = torch.stack(list(self._iter_upscaled(frames)), dim=1)
        if not self.both_directions:
            return upscaled
        backwards = torch.stack(list(self._iter_upscaled(frames[::-1])), dim=1).flip(1)
        return (upscaled + backwards) / 2

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame, with a zero state at the first frame of the window.

        Args:
            lr: `(N, T, 3, H, W)` float32 RGB in [0, 1], any T; the centre is frame T // 2.

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        frames = lr.unbind(1)
        centre = len(frames) // 2
        *_, sr = self._iter_upscaled(frames[: centre + 1])
        if self.both_directions:
            *_, backwards = self._iter_upscaled(frames[: centre - 1 if centre else None : -1])
            sr = (sr + backwards) / 2
        return sr

    def _iter_upscaled(self, frames: Sequence[Tensor]) -> Iterator[Tensor]:
        """Upscale frames in the given order, each with the state of those before it."""
        first = frames[0]
        previous = first
        state = first.new_zeros(()).expand(first.shape[0], self.features, *first.shape[2:])
        for current in frames:
            sr, state = self._restore(previous, current, state)
            previous = current
            yield sr
