"""LPIPS: distance of two images in the features of a classifier (Zhang et al. 2018).

For each of five layers of VGG16, with the features of a pixel scaled to unit length:

    d = sum over layers of the mean over pixels of  w . (f(sr) - f(truth))^2

The channel weights w >= 0 are trained; these are of "version 0.1".
"""

from __future__ import annotations

from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.runtime.errors import MismatchError, MissingDependencyError
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.eval_report import MetricValues
from vsrc.runtime.quality.metrics import MetricKind

_BLOCKS = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
"""Convolutions of VGG16 by their number in torchvision, block by block, pooling between blocks."""

# The published network scales images in [-1, 1] by the statistics of ImageNet.
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)
_EPSILON = 1e-10


class Lpips:
    """LPIPS of a clip, mean over its frames; 0 is best."""

    def __init__(self, net: LpipsNet, border: int) -> None:
        self._net = net
        self._border = border
        self._distances: list[float] = []

    def add(self, sr: Pixels8, truth: Pixels8) -> None:
        """Take the next pair; see `vsrc.runtime.quality.metrics.Metric`."""
        height, width = truth.shape[:2]
        if min(height, width) - 2 * self._border < 16:  # four poolings need at least 16 pixels
            return
        edge = self._border
        pictures = [
            torch.from_numpy(frame[edge : height - edge, edge : width - edge].copy())
            for frame in (sr, truth)
        ]
        self._distances.append(float(self._net(torch.stack(pictures).permute(0, 3, 1, 2))))

    def result(self) -> MetricValues:
        """See `vsrc.runtime.quality.metrics.Metric`."""
        count = len(self._distances)
        return {"lpips": sum(self._distances) / count if count else None}


class LpipsNet:
    """VGG16 and the weights of its channels."""

    def __init__(self, vgg: Path, heads: Path) -> None:
        """Read both files.

        Args:
            vgg: torchvision's VGG16, or its convolutions alone (`features.N.*`).
            heads: Weights of the channels, `linK.weight` or, as in the package lpips,
                `linK.model.1.weight`; K = 0..4.

        Raises:
            MismatchError: A file lacks what it must have.
        """
        state = read_weights(vgg)
        names = [f"features.{n}.{part}" for b in _BLOCKS for n in b for part in ("weight", "bias")]
        if lacking := [name for name in names if name not in state]:
            raise MismatchError(
                f"{vgg} has no {lacking[0]}; LPIPS needs all 13 convolutions of VGG16, as in "
                "torchvision's vgg16-397923af.pth"
            )
        self._vgg = {name: state[name].float() for name in names}
        self._heads = _read_heads(heads)

    @torch.inference_mode()
    def __call__(self, pair: Tensor) -> Tensor:
        """Distance of two images: `(2, 3, H, W)` uint8 RGB to a scalar."""
        scale, shift = (torch.tensor(values)[:, None, None] for values in (_SCALE, _SHIFT))
        x = (pair.float() / 127.5 - 1 - shift) / scale
        distance = torch.zeros(())
        for number, (block, head) in enumerate(zip(_BLOCKS, self._heads, strict=True)):
            x = F.max_pool2d(x, 2) if number else x
            for layer in block:
                weight, bias = (self._vgg[f"features.{layer}.{p}"] for p in ("weight", "bias"))
                x = torch.relu(F.conv2d(x, weight, bias, padding=1))
            unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + _EPSILON)
            distance += ((unit[0] - unit[1]).square() * head[:, None, None]).sum(dim=0).mean()
        return distance


def lpips_kind(vgg: Path | None, heads: Path | None) -> MetricKind:
    """The metric `lpips` for `vsrc.runtime.quality.evaluation.evaluate`.

    Raises:
        MissingDependencyError: No files were given; they do not ship with vsrc.
        MismatchError: The files do not hold the expected weights.
    """
    if vgg is None or heads is None:
        raise MissingDependencyError(
            "LPIPS needs two files that do not ship with vsrc: VGG16 "
            "(https://download.pytorch.org/models/vgg16-397923af.pth) for --lpips-vgg, and "
            "lpips/weights/v0.1/vgg.pth of the package lpips for --lpips-heads"
        )
    return MetricKind(
        "LPIPS 0.1: VGG16, RGB, mean over the frames", partial(Lpips, LpipsNet(vgg, heads))
    )


def _read_heads(path: Path) -> list[Tensor]:
    state = {key.replace(".model.1.", "."): tensor for key, tensor in read_weights(path).items()}
    heads = [state.get(f"lin{number}.weight") for number in range(len(_BLOCKS))]
    sizes = [None if head is None else head.numel() for head in heads]
    if sizes != [64, 128, 256, 512, 512]:
        raise MismatchError(
            f"{path} holds no LPIPS weights for VGG16 (lin0.weight ... lin4.weight of 64, 128, "
            f"256, 512, 512 channels; found {sizes}); take lpips/weights/v0.1/vgg.pth"
        )
    return [head.float().flatten() for head in heads if head is not None]
