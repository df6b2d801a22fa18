"""`fakd`: feature affinity knowledge distillation (He et al., ICIP 2020).

With A the matrix of cosines between all pixels of a feature (`affinity`), at three depths:

    L = 0.5 L1(SR, HR) + 0.5 L1(SR, SR of the teacher)
        + weight * sum over depths of mean |A(student) - A(teacher)|

The paper's networks work on 0..255 with a weight of 10; images here are in [0, 1], so the loss
is divided by 255 and the weight is 10 / 255.
"""

from __future__ import annotations

from torch import Tensor, nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.objectives.affinity import affinity_distance
from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
)
from vsrc.compressor.objectives.tap_choice import choose_taps

DEPTHS = (0.3, 0.65, 1.0)
"""Among head, 10 groups and tail of RCAN: after groups 3 and 7, and after the long skip."""


class Fakd(Objective):
    """Distillation of spatial affinities and of the output.

    Args:
        student: Network that is trained.
        teacher: Network whose outputs are the targets.
        weight: Weight of the affinities.
        output_weight: Weight of the distance to the teacher's output; that to HR has one minus
            this.
        student_taps: Three module paths, comma separated, instead of the network's own stages.
        teacher_taps: Likewise for the teacher.
    """

    def __init__(
        self,
        *,
        student: nn.Module,
        teacher: nn.Module,
        weight: float = 10 / 255,
        output_weight: float = 0.5,
        student_taps: str = "",
        teacher_taps: str = "",
    ) -> None:
        super().__init__()
        if not 0 <= output_weight <= 1:
            raise ValueError(f"{output_weight=} must lie in [0, 1]")
        self.weight, self.output_weight = weight, output_weight
        self.student_taps = choose_taps(spec_of(student), depths=DEPTHS, named=student_taps)
        self.teacher_taps = choose_taps(spec_of(teacher), depths=DEPTHS, named=teacher_taps)

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr`, `output` and `affinity`."""
        assert seen.teacher_sr is not None
        to_hr = (seen.student_sr - seen.hr).abs().mean()
        to_teacher = (seen.student_sr - seen.teacher_sr).abs().mean()
        distances = [
            affinity_distance(seen.student[o], seen.teacher[t])
            for o, t in zip(self.student_taps, self.teacher_taps, strict=True)
        ]
        return {
            RECONSTRUCTION: (1 - self.output_weight) * to_hr,
            "output": self.output_weight * to_teacher,
            "affinity": self.weight * sum(distances[1:], start=distances[0]),
        }
