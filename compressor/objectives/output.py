"""`output`: distillation of the teacher's output.

L = truth * Charbonnier(SR, HR) + weight * mean |SR - SR of the teacher|
"""

from __future__ import annotations

from torch import Tensor

from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
    charbonnier,
)


class Output(Objective):
    """Distillation of the output.

    Args:
        weight: Weight of the distance to the teacher; 1 as in CSD and FAKD, which weigh both
            equally.
        truth: Weight of the distance to the ground truth; 0 for the teacher alone.
        epsilon: Epsilon of the Charbonnier loss.
    """

    needs_picture_alone = True

    def __init__(self, *, weight: float = 1.0, truth: float = 1.0, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.weight, self.truth, self.epsilon = weight, truth, epsilon

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr` and `output`."""
        assert seen.teacher_sr is not None
        return {
            RECONSTRUCTION: self.truth
            * charbonnier(seen.student_sr, seen.hr, epsilon=self.epsilon),
            "output": self.weight * (seen.student_sr - seen.teacher_sr).abs().mean(),
        }
