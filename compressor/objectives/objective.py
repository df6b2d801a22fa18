"""What an objective is: a module that turns what a step has seen into terms to be summed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

RECONSTRUCTION = "hr"
"""Name of the term that compares SR with ground truth; a sum of objectives counts it once."""


@dataclass(frozen=True)
class Observation:
    """One step, as an objective sees it, in float32. F frames of N clips are restored.

    Attributes:
        lr: `(N, F, 3, H, W)`, the frames that are restored.
        hr: `(N, F, 3, sH, sW)`, ground truth in [0, 1].
        student_sr: `(N, F, 3, sH, sW)`, not clipped.
        teacher_sr: The same from the teacher, without gradient unless it learns along; None where
            there is no teacher.
        student: Tap -> `(N * F, C, h, w)`, frames of a clip next to each other.
        teacher: The same from the teacher, without gradient.
    """

    lr: Tensor
    hr: Tensor
    student_sr: Tensor
    teacher_sr: Tensor | None = None
    student: Mapping[str, Tensor] = field(default_factory=dict)
    teacher: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """F, the frames of each clip that are restored."""
        return self.student_sr.shape[1]


class Objective(nn.Module):
    """Base of all objectives; what it owns (adapters, heads) is trained along and never exported.

    Attributes:
        student_taps: Module paths of the student that it wants to see.
        teacher_taps: Module paths of the teacher that it wants to see.
        needs_teacher: Whether there must be a teacher.
        needs_picture_alone: Whether it needs nothing of the teacher but its picture of the centre
            frame, so that the teacher may be asked once and its pictures kept.
        needs_time: Whether it compares frames over time, so that every frame of a clip is restored.
        shares_weights: Whether the student is a part of its teacher, which learns along with it.
    """

    student_taps: tuple[str, ...] = ()
    teacher_taps: tuple[str, ...] = ()
    needs_teacher: bool = True
    needs_picture_alone: bool = False
    needs_time: bool = False
    shares_weights: bool = False

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Weighted terms, name -> scalar; their sum is minimised."""
        raise NotImplementedError

    def before_update(self, terms: Mapping[str, float]) -> None:
        """Called between the backward pass and the optimiser's step.

        Args:
            terms: Terms of this step, averaged over all processes.
        """


def charbonnier(sr: Tensor, hr: Tensor, *, epsilon: float = 1e-3) -> Tensor:
    """Mean of `sqrt(d^2 + epsilon^2)`: L1 that is smooth at zero (Charbonnier et al. 1994)."""
    return ((sr - hr).square() + epsilon**2).sqrt().mean()
