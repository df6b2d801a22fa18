"""Long short-term feature interpolation: the frames between (STDAN, section 3.2).

    pairs       (0,1)     (1,2)     (2,3)     short term: both frames, aligned to each other
                  │         │         │
    forward     cell ───> cell ───> cell      long term: a hidden state, zero at the start
    backward    cell <─── cell <─── cell      the same cells, frames of a pair swapped
                  │         │         │
    between      1/2       3/2       5/2

State-dict names are the official ones, where the layers of an alignment are direct children of
their module.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.layers.deform import ModulatedDeformConv
from vsrc.compressor.networks.layers.pyramid import Pyramid, backward, conv3, double, flat, lrelu


def add_pyramid_layers(holder: nn.Module, features: int) -> None:
    """Add the layers of `pyramid_from`; direct children of `holder`, as in the official files."""
    for level in ("L2", "L3"):
        holder.add_module(f"fea_{level}_conv1", conv3(features, features, stride=2))
        holder.add_module(f"fea_{level}_conv2", conv3(features, features))


def pyramid_from(holder: nn.Module, level1: Tensor) -> Pyramid:
    """Half and quarter resolution below `level1`, `(N, C, H, W)`."""

    def coarser(level: str, x: Tensor) -> Tensor:
        x = lrelu(holder.get_submodule(f"fea_{level}_conv1")(x))
        return lrelu(holder.get_submodule(f"fea_{level}_conv2")(x))

    level2 = coarser("L2", level1)
    return level1, level2, coarser("L3", level2)


class TwoWayAlign(nn.Module):
    """Deformable alignment of two frames to each other, with separate weights per direction.

    Args:
        features: Channels.
        groups: Deformable groups.
    """

    def __init__(self, features: int, *, groups: int) -> None:
        super().__init__()
        add_align_layers(self, features, groups=groups)

    def forward(self, first: Pyramid, second: Pyramid) -> Tensor:
        """Align two pyramids, levels `(N, C, h, w)`; both results as `(N, 2C, H, W)`."""
        return align_both(self, first, second)


def add_align_layers(holder: nn.Module, features: int, *, groups: int) -> None:
    """Add the layers of `align_both`; direct children of `holder`, as in the official files."""
    inputs = {"offset_conv1": 2, "offset_conv2": 2, "offset_conv3": 1, "fea_conv": 2}
    for side in (1, 2):
        holder.add_module(f"L3_offset_conv1_{side}", conv3(2 * features, features))
        holder.add_module(f"L3_offset_conv2_{side}", conv3(features, features))
        for level in ("L2", "L1"):
            for name, count in inputs.items():
                holder.add_module(f"{level}_{name}_{side}", conv3(count * features, features))
        for level in ("L3", "L2", "L1"):
            name = f"{level}_dcnpack_{side}"
            holder.add_module(name, ModulatedDeformConv(features, groups=groups))


def align_both(holder: nn.Module, first: Pyramid, second: Pyramid) -> Tensor:
    """Align the first frame to the second and the second to the first, `(N, 2C, H, W)`."""
    towards_second = _align(holder, first, second, side=1)
    towards_first = _align(holder, second, first, side=2)
    return torch.cat((towards_second, towards_first), dim=1)


def _align(holder: nn.Module, moving: Pyramid, still: Pyramid, *, side: int) -> Tensor:
    """EDVR's pyramid without its cascade; see `vsrc.compressor.networks.video.edvr.PcdAlign`."""

    def layer(name: str) -> nn.Module:
        return holder.get_submodule(f"{name}_{side}")

    motion = lrelu(layer("L3_offset_conv1")(torch.cat((moving[2], still[2]), dim=1)))
    motion = lrelu(layer("L3_offset_conv2")(motion))
    aligned = lrelu(layer("L3_dcnpack")(moving[2], motion))
    for level, index in (("L2", 1), ("L1", 0)):
        coarse = double(motion) * 2
        pair = torch.cat((moving[index], still[index]), dim=1)
        motion = lrelu(layer(f"{level}_offset_conv1")(pair))
        motion = lrelu(layer(f"{level}_offset_conv2")(torch.cat((motion, coarse), dim=1)))
        motion = lrelu(layer(f"{level}_offset_conv3")(motion))
        fine = layer(f"{level}_dcnpack")(moving[index], motion)
        aligned = layer(f"{level}_fea_conv")(torch.cat((fine, double(aligned)), dim=1))
        aligned = lrelu(aligned) if level == "L2" else aligned
    return aligned


class HiddenAlign(nn.Module):
    """Align a short-term feature and the hidden state, and fuse them.

    Args:
        features: Channels.
        groups: Deformable groups.
    """

    def __init__(self, features: int, *, groups: int) -> None:
        super().__init__()
        add_pyramid_layers(self, features)
        self.pcd_align = TwoWayAlign(features, groups=groups)
        self.fusion = nn.Conv2d(2 * features, features, 1)

    def forward(self, short_term: Tensor, hidden: Tensor) -> Tensor:
        """Fuse both inputs; inputs and result are `(N, C, H, W)`."""
        aligned = self.pcd_align(pyramid_from(self, short_term), pyramid_from(self, hidden))
        fused: Tensor = self.fusion(aligned)
        return fused


class Interpolation(nn.Module):
    """The cell in the diagram above, run over a window in both directions.

    Args:
        features: Channels.
        groups: Deformable groups.
    """

    def __init__(self, features: int, *, groups: int) -> None:
        super().__init__()
        add_align_layers(self, features, groups=groups)
        self.fusion = nn.Conv2d(2 * features, features, 1)
        self.conv_h1 = conv3(features, features)
        self.conv_h2 = conv3(features, features)
        self.fusion_1x1 = nn.Conv2d(2 * features, features, 1)
        self.pcd_h = HiddenAlign(features, groups=groups)

    def forward(self, frames: Pyramid) -> Tensor:
        """Interpolate the features of the frames between, in both directions.

        Both directions share weights, so they run side by side on the batch axis, and so do all
        pairs until the hidden state comes in.

        Args:
            frames: Levels `(N, T, C, h, w)`.

        Returns:
            `(N, T - 1, 2C, H, W)`, forward before backward.
        """
        batch, window = frames[0].shape[:2]
        one, two, three = (torch.cat(pair) for pair in zip(frames, backward(frames), strict=True))
        first = flat((one[:, :-1], two[:, :-1], three[:, :-1]))
        second = flat((one[:, 1:], two[:, 1:], three[:, 1:]))
        short_term = self.fusion(align_both(self, first, second))
        short_term = short_term.reshape(2 * batch, window - 1, *short_term.shape[1:])
        between = self._run(short_term)
        from_before = torch.stack([frame[:batch] for frame in between], dim=1)
        from_after = torch.stack([frame[batch:] for frame in reversed(between)], dim=1)
        return torch.cat((from_before, from_after), dim=2)

    def _run(self, short_term: Tensor) -> list[Tensor]:
        """Carry the hidden state, zero at the start, over `(N, pairs, C, H, W)`."""
        hidden = torch.zeros_like(short_term[:, 0])
        between = []
        for feature in short_term.unbind(1):
            long_term = self.pcd_h(feature, hidden)
            frame = self.fusion_1x1(torch.cat((long_term, feature), dim=1))
            hidden = self.conv_h2(lrelu(self.conv_h1(frame)))
            between.append(frame)
        return between
