"""`none`: ground truth alone, as a teacher itself is trained."""

from __future__ import annotations

from torch import Tensor

from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
    charbonnier,
)


class Plain(Objective):
    """Charbonnier distance between SR and HR.

    Args:
        epsilon: Epsilon of the Charbonnier loss.
    """

    needs_teacher = False

    def __init__(self, *, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Term `hr`."""
        return {RECONSTRUCTION: charbonnier(seen.student_sr, seen.hr, epsilon=self.epsilon)}
