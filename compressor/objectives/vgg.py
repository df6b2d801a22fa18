"""Features of an image classifier (VGG16 or VGG19, Simonyan and Zisserman 2015), frozen."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.runtime.errors import MismatchError, MissingDependencyError

CONVOLUTIONS = {"VGG16": (2, 2, 3, 3, 1), "VGG19": (2, 2, 4, 4, 1)}
"""Convolutions up to relu5_1, block by block; each block but the last ends with 2x2 max pooling."""

LAYER_WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Weights of the five features in a distance, as pix2pixHD and CSD have them."""


class VggFeatures(nn.Module):
    """Features after the first ReLU of each of the five blocks: relu1_1 ... relu5_1.

    The weights are not part of checkpoints, as they never change and are read from a file.

    Args:
        path: torchvision's file of VGG16 or VGG19, or the convolutions alone (`features.N.*`).
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        state = _read(path)
        self.blocks = _blocks(state, path)
        for name, tensor in state.items():
            self.register_buffer(_flat(name), tensor.float(), persistent=False)

    def forward(self, pictures: Tensor) -> list[Tensor]:
        """Compute five features of `(N, 3, H, W)`, in the value range of the caller."""
        features, x, layer = [], pictures, 0
        for block, convolutions in enumerate(self.blocks):
            if block:
                x, layer = F.max_pool2d(x, 2), layer + 1
            for convolution in range(convolutions):
                weight, bias = (self.get_buffer(_flat(f"{layer}.{p}")) for p in ("weight", "bias"))
                x, layer = torch.relu(F.conv2d(x, weight, bias, padding=1)), layer + 2
                if convolution == 0:
                    features.append(x)
        return features


def _read(path: Path) -> dict[str, Tensor]:
    """Read the convolutions by their index in torchvision: `0.weight`, `0.bias`, `2.weight`, ..."""
    if not path.is_file():
        raise MissingDependencyError(
            f"{path} does not exist: the objective compares features of VGG, whose weights do not "
            "ship with vsrc; download https://download.pytorch.org/models/vgg19-dcbb9e9d.pth or "
            "vgg16-397923af.pth and give it with --set objective_options.vgg=FILE (in a sum of "
            "objectives NAME.vgg=FILE)"
        )
    prefix = "features."
    return {
        key.removeprefix(prefix): tensor
        for key, tensor in read_weights(path).items()
        if key.startswith(prefix)
    }


def _blocks(state: dict[str, Tensor], path: Path) -> tuple[int, ...]:
    indices = {int(key.partition(".")[0]) for key in state if key.endswith(".weight")}
    for blocks in reversed(CONVOLUTIONS.values()):
        if set(_layers(blocks)) <= indices:
            return blocks
    raise MismatchError(
        f"{path} holds the convolutions {sorted(indices)}, which are neither VGG16 nor VGG19 up to "
        "relu5_1; take torchvision's file"
    )


def _layers(blocks: tuple[int, ...]) -> list[int]:
    """Indices of the convolutions in torchvision's list of layers."""
    numbers, layer = [], 0
    for convolutions in blocks:
        numbers += [layer + 2 * index for index in range(convolutions)]
        layer += 2 * convolutions + 1
    return numbers


def _flat(name: str) -> str:
    return "conv_" + name.replace(".", "_")
