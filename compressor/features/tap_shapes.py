"""Shapes of named features, found on the meta device without data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn

from vsrc.compressor.features.clip_network import ClipNetwork, clip_for, clip_length
from vsrc.compressor.features.taps import open_taps, spec_of, unwrap
from vsrc.compressor.networks.layers.counting import shape_twin
from vsrc.runtime.spec import NetworkSpec


@dataclass(frozen=True)
class TapShape:
    """Shape of a feature, independent of the frame size.

    Attributes:
        channels: Number of channels.
        ratio: Side of the feature / side of the LR frame.
    """

    channels: int
    ratio: Fraction


def tap_shapes(network: nn.Module, paths: Sequence[str]) -> Mapping[str, TapShape]:
    """Channels and size ratio of each tap, found by a forward pass on shapes alone.

    Raises:
        ValueError: Unknown module path, or a feature that is not one map per output frame.
    """
    spec = spec_of(network)
    side = 16 * spec.size_multiple
    twin = ClipNetwork(shape_twin(unwrap(network)))
    length = clip_length(spec)
    frames = [length // 2] if spec.time_scale == 1 else list(range(length))
    lr = torch.empty(1, length, 3, side, side, device="meta")
    hr = torch.empty(1, length, 3, side * spec.scale, side * spec.scale, device="meta")
    with torch.no_grad(), open_taps(twin.network, paths) as features:
        twin(clip_for(twin.network, lr=lr, hr=hr), frames)
    if silent := [path for path in paths if path not in features]:
        raise ValueError(f"tap {silent[0]!r} of {spec.name} is never called in a forward pass")
    return {p: _shape(p, features[p], spec, side=side, frames=len(frames)) for p in paths}


def _shape(path: str, feature: Tensor, spec: NetworkSpec, *, side: int, frames: int) -> TapShape:
    if feature.dim() != 4 or feature.shape[0] != frames or feature.shape[2] != feature.shape[3]:
        raise ValueError(
            f"tap {path!r} of {spec.name} has shape {tuple(feature.shape)} for {frames} output "
            f"frames; expected ({frames}, C, H, W): choose a later module"
        )
    return TapShape(channels=feature.shape[1], ratio=Fraction(feature.shape[2], side))
