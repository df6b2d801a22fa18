"""`srkd`: statistics of features over their channels (Gao et al., ACCV 2018).

With F a feature of C channels after a low, a middle and a high block, and G one of

    mean         (1/C sum_c F_c)^p          the paper's best, with p = 2
    power_mean   1/C sum_c F_c^p
    max, min     over the channels

    L = L1(SR, HR) + weight * sum over the three depths of mean |G(student) - G(teacher)|

The distance inside the sum and the weights are not known to us: L1 and 0.1 are our choice.
"""

from __future__ import annotations

from typing import Literal, get_args

from torch import Tensor, nn

from vsrc.compressor.features.feature_range import teacher_factors
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
)
from vsrc.compressor.objectives.tap_choice import choose_taps

ChannelStatistic = Literal["mean", "power_mean", "max", "min"]
DEPTHS = (1 / 3, 2 / 3, 1.0)
"""Blocks 4, 7 and 10 of 10."""


class Srkd(Objective):
    """Distillation of channel statistics; channel counts may differ, sizes may not.

    Args:
        student: Network that is trained.
        teacher: Network whose features are the targets.
        statistic: Statistic over the channels.
        power: p, for `mean` and `power_mean`.
        weight: Weight of each depth's distance.
        student_taps: Three module paths, comma separated, instead of the network's own stages.
        teacher_taps: Likewise for the teacher.
        teacher_scale: Factor of the teacher's features; 0 measures one for each depth on the sample
            clip: 1, unless the teacher works in another range of values.
    """

    def __init__(
        self,
        *,
        student: nn.Module,
        teacher: nn.Module,
        statistic: ChannelStatistic = "mean",
        power: int = 2,
        weight: float = 0.1,
        student_taps: str = "",
        teacher_taps: str = "",
        teacher_scale: float = 0.0,
    ) -> None:
        super().__init__()
        if statistic not in get_args(ChannelStatistic):
            raise ValueError(f"{statistic=} is not one of {', '.join(get_args(ChannelStatistic))}")
        self.statistic, self.power, self.weight = statistic, power, weight
        self.student_taps = choose_taps(spec_of(student), depths=DEPTHS, named=student_taps)
        self.teacher_taps = choose_taps(spec_of(teacher), depths=DEPTHS, named=teacher_taps)
        pairs = list(zip(self.student_taps, self.teacher_taps, strict=True))
        self.teacher_scales = teacher_factors(
            "srkd", student=student, teacher=teacher, pairs=pairs, given=teacher_scale
        )

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr`, and `low`, `middle`, `high` for the three depths."""
        terms = {RECONSTRUCTION: (seen.student_sr - seen.hr).abs().mean()}
        depths = zip(
            *(("low", "middle", "high"), self.student_taps, self.teacher_taps, self.teacher_scales),
            strict=True,
        )
        for name, ours, theirs, scale in depths:
            student, teacher = (
                channel_statistic(feature, self.statistic, power=self.power)
                for feature in (seen.student[ours], seen.teacher[theirs] * scale)
            )
            terms[name] = self.weight * (student - teacher).abs().mean()
        return terms


def channel_statistic(feature: Tensor, statistic: ChannelStatistic, *, power: int = 2) -> Tensor:
    """Reduce `(N, C, H, W)` over the channels to `(N, H, W)`."""
    if statistic == "mean":
        return feature.mean(1).pow(power)
    if statistic == "power_mean":
        return feature.pow(power).mean(1)
    return feature.amax(1) if statistic == "max" else feature.amin(1)
