"""Interface of objectives: modules that compute the loss terms of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

RECONSTRUCTION = "hr"
"""Name of the term that compares SR with ground truth; a sum of objectives counts it once."""


@dataclass(frozen=True)
class Observation:
    """Inputs of an objective for one step, float32: F frames of N clips are upscaled.

    Attributes:
        lr: LR frames, `(N, F, 3, H, W)`.
        hr: Ground truth in [0, 1], `(N, F, 3, sH, sW)`.
        student_sr: Output of the student, `(N, F, 3, sH, sW)`, not clipped.
        teacher_sr: Output of the teacher, same shape, without gradient unless it is trained along;
            None where there is no teacher.
        student: Features of the student: tap -> `(N * F, C, h, w)`, frames of a clip consecutive.
        teacher: Features of the teacher, same layout, without gradient.
    """

    lr: Tensor
    hr: Tensor
    student_sr: Tensor
    teacher_sr: Tensor | None = None
    student: Mapping[str, Tensor] = field(default_factory=dict)
    teacher: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """Number F of upscaled frames per clip."""
        return self.student_sr.shape[1]


class Objective(nn.Module):
    """Base of all objectives; its modules (adapters, heads) are trained along, never exported.

    Attributes:
        student_taps: Module paths of the student whose features it needs.
        teacher_taps: Module paths of the teacher whose features it needs.
        needs_teacher: Whether it needs a teacher.
        needs_picture_alone: Whether it needs only the teacher's output for the centre frame, so
            that outputs can be computed once and stored.
        needs_time: Whether it compares frames over time, so that every frame of a clip is upscaled.
        shares_weights: Whether the student is a part of its teacher, which is trained along with
            it.
    """

    student_taps: tuple[str, ...] = ()
    teacher_taps: tuple[str, ...] = ()
    needs_teacher: bool = True
    needs_picture_alone: bool = False
    needs_time: bool = False
    shares_weights: bool = False

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Return weighted terms, name -> scalar; their sum is minimised."""
        raise NotImplementedError

    def before_update(self, terms: Mapping[str, float]) -> None:
        """Hook between the backward pass and the optimiser's step.

        Args:
            terms: Terms of this step, averaged over all processes.
        """


def charbonnier(sr: Tensor, hr: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """Mean of `sqrt(d^2 + epsilon^2)`: L1 that is smooth at zero (Charbonnier et al. 1994)."""
    return ((sr - hr).square() + epsilon**2).sqrt().mean()
