"""`output`: the student also learns what the teacher makes of the clip.

L = Charbonnier(SR, HR) + weight * mean |SR - SR of the teacher|
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
        weight: Of the distance to the teacher; 1 as in CSD and FAKD, where both count the same.
        epsilon: Of the Charbonnier loss.
    """

    def __init__(self, *, weight: float = 1.0, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.weight, self.epsilon = weight, epsilon

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr` and `output`."""
        assert seen.teacher_sr is not None
        return {
            RECONSTRUCTION: charbonnier(seen.student_sr, seen.hr, epsilon=self.epsilon),
            "output": self.weight * (seen.student_sr - seen.teacher_sr).abs().mean(),
        }
