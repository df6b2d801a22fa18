"""`perceptual`: distance in the features of an image classifier (Johnson et al., ECCV 2016).

With phi_i the features of VGG after the first ReLU of block i, of images normalised as VGG was
trained:

    L = truth * Charbonnier(SR, HR) + weight * sum_i w_i  mean |phi_i(SR) - phi_i(HR)|

The paper compares relu2_2 alone, by squares; the five layers and w = 1/32, 1/16, 1/8, 1/4, 1 are
those of pix2pixHD (Wang et al., CVPR 2018, supplement), whose distance is L1, too.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
    charbonnier,
)
from vsrc.compressor.objectives.vgg import LAYER_WEIGHTS, VggFeatures

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)
"""Of the channels R, G, B in [0, 1] on ImageNet, as torchvision's VGG expects them."""


class Perceptual(Objective):
    """Distance to the ground truth in pixels and in features of VGG.

    Mostly a part of a sum, such as `output+perceptual`, which counts the distance in pixels once.

    Args:
        vgg: torchvision's file of VGG16 or VGG19, or the convolutions alone (`features.N.*`).
        weight: Weight of the features.
        truth: Weight of the distance in pixels.
        epsilon: Epsilon of the Charbonnier loss.
    """

    needs_teacher = False

    def __init__(
        self,
        *,
        vgg: str = "vgg16-397923af.pth",
        weight: float = 0.02,
        truth: float = 1.0,
        epsilon: float = 1e-3,
    ) -> None:
        super().__init__()
        self.weight, self.truth, self.epsilon = weight, truth, epsilon
        self.vgg = VggFeatures(Path(vgg))
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None], persistent=False)

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr` and `features`."""
        with torch.no_grad():
            targets = self._features(seen.hr)
        distances = torch.stack(
            [
                (ours - target).abs().mean()
                for ours, target in zip(self._features(seen.student_sr), targets, strict=True)
            ]
        )
        return {
            RECONSTRUCTION: self.truth
            * charbonnier(seen.student_sr, seen.hr, epsilon=self.epsilon),
            "features": self.weight * (distances.new_tensor(LAYER_WEIGHTS) * distances).sum(),
        }

    def _features(self, frames: Tensor) -> list[Tensor]:
        pictures = frames.flatten(0, 1)
        features: list[Tensor] = self.vgg(
            (pictures - self.get_buffer("mean")) / self.get_buffer("deviation")
        )
        return features
