"""`csd`: contrastive self-distillation (Wang et al., IJCAI 2021).

The student is the first channels of its teacher (`channel_split`), on the same weights; both widths
are trained at once. With phi_i the five features of VGG, K upscaled LR images N_k as negatives:

    L_con = sum_i w_i  mean |phi_i(T) - phi_i(S)| / mean( sum_k |phi_i(N_k) - phi_i(S)| )
    L     = L1(S, HR) + contrast * L_con + to_teacher * L1(T, HR)

w = 1/32, 1/16, 1/8, 1/4, 1; T is taken without gradient in L_con. The paper's images are in 0..255,
unnormalised, with contrast 200; here the loss is divided by 255; VGG's input is still 0..255.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.channel_split import leading_corners
from vsrc.compressor.objectives.objective import RECONSTRUCTION, Objective, Observation
from vsrc.compressor.objectives.vgg import LAYER_WEIGHTS, VggFeatures


class Csd(Objective):
    """Contrastive self-distillation.

    Args:
        student: The teacher's network at a smaller width.
        teacher: Teacher, trained along from its initial weights.
        vgg: torchvision's file of VGG19 (or VGG16).
        contrast: Weight of L_con.
        to_teacher: Weight of the teacher's own L1.
        negatives: K; at most the number of images in a batch.
    """

    shares_weights = True

    def __init__(
        self,
        *,
        student: nn.Module,
        teacher: nn.Module,
        vgg: str = "vgg19-dcbb9e9d.pth",
        contrast: float = 200 / 255,
        to_teacher: float = 1.0,
        negatives: int = 10,
    ) -> None:
        super().__init__()
        leading_corners(teacher.state_dict(), student)  # raises if they cannot share weights
        self.contrast, self.to_teacher, self.negatives = contrast, to_teacher, negatives
        self.vgg = VggFeatures(Path(vgg))

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr`, `contrast` and `teacher`."""
        assert seen.teacher_sr is not None
        student, teacher, hr = (
            frames.flatten(0, 1) for frames in (seen.student_sr, seen.teacher_sr, seen.hr)
        )
        negatives = self._negatives(seen.lr.flatten(0, 1), size=hr.shape[-2:])
        ratios = contrast_ratios(self.vgg, student, teacher, negatives)
        weights = ratios.new_tensor(LAYER_WEIGHTS)
        return {
            RECONSTRUCTION: (student - hr).abs().mean(),
            "contrast": self.contrast * (weights * ratios).sum(),
            "teacher": self.to_teacher * (teacher - hr).abs().mean(),
        }

    def _negatives(self, lr: Tensor, *, size: torch.Size) -> Tensor:
        """Pick K upscaled LR images of the batch at random, the same for all samples."""
        count = self.negatives
        if count > len(lr):
            raise ValueError(
                f"negatives={count} is more than the {len(lr)} images of a batch: raise batch, "
                f"or --set objective_options.negatives={len(lr)}"
            )
        chosen = lr[torch.randperm(count, device=lr.device)]
        return F.interpolate(chosen, size=tuple(size), mode="bicubic", align_corners=False)


def contrast_ratios(vgg: nn.Module, student: Tensor, teacher: Tensor, negatives: Tensor) -> Tensor:
    """Distance to the teacher over distance to the negatives, `(5,)`, by layer.

    Args:
        vgg: `VggFeatures`.
        student: `(N, 3, H, W)` in [0, 1]; the only one that gets a gradient.
        teacher: `(N, 3, H, W)`.
        negatives: `(K, 3, H, W)`.
    """
    with torch.no_grad():
        targets, others = vgg(teacher.detach() * 255), vgg(negatives * 255)
    ratios = []
    for ours, target, other in zip(vgg(student * 255), targets, others, strict=True):
        attracted = (target - ours).abs().mean()
        repelled = sum((feature - ours).abs().mean() for feature in other)
        ratios.append(attracted / (repelled + 1e-7))
    return torch.stack(ratios)
