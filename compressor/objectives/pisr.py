"""`pisr`: learning with privileged information (Lee et al., ECCV 2020).

Two runs. First the teacher `fsrcnn-teacher`, whose input is the HR image, with `pisr-teacher`:

    L = L1(SR, HR) + imitation * L1(code, LR)           imitation 1e-4

Then the student, an FSRCNN that starts as the teacher's decoder, with `pisr`:

    L = L1(SR, HR) + weight * VID(feature, teacher's)   weight 1e-6, feature after the expansion

All on luma in [0, 1] where the student works on luma. VID is in `variational`; with any other pair
of networks it compares their last stages.
"""

from __future__ import annotations

from torch import Tensor, nn

from vsrc.compressor.features.tap_shapes import tap_shapes
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks.image.hr_teacher import HrTeacher
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
)
from vsrc.compressor.objectives.tap_choice import choose_taps
from vsrc.compressor.objectives.variational import Density, Spread, VariationalHead


class Pisr(Objective):
    """Second run: the student.

    Args:
        student: Network that is trained.
        teacher: Network whose features are the targets.
        weight: Weight of VID.
        density: Distribution of the teacher's feature.
        spread: Granularity of the spread; see `VariationalHead`.
        start_as_decoder: Whether to start from the decoder weights of `fsrcnn-teacher`.
        student_taps: One module path instead of the network's last stage.
        teacher_taps: Likewise for the teacher.
    """

    def __init__(
        self,
        *,
        student: nn.Module,
        teacher: nn.Module,
        weight: float = 1e-6,
        density: Density = "laplace",
        spread: Spread = "element",
        start_as_decoder: bool = True,
        student_taps: str = "",
        teacher_taps: str = "",
    ) -> None:
        super().__init__()
        self.weight = weight
        self.student_taps = choose_taps(spec_of(student), depths=[1.0], named=student_taps)
        self.teacher_taps = choose_taps(spec_of(teacher), depths=[1.0], named=teacher_taps)
        ours, theirs = self._shapes(student, teacher)
        self.head = VariationalHead(ours, theirs, density=density, spread=spread)
        self.colour = _luma_path(student)
        if start_as_decoder and isinstance(teacher, HrTeacher):
            student.load_state_dict(teacher.core.decoder.state_dict())

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr` and `vid`."""
        student = seen.student[self.student_taps[0]]
        teacher = seen.teacher[self.teacher_taps[0]]
        return {
            RECONSTRUCTION: _l1(seen, self.colour),
            "vid": self.weight * self.head(student, teacher),
        }

    def _shapes(self, student: nn.Module, teacher: nn.Module) -> tuple[int, int]:
        ours = tap_shapes(student, self.student_taps)[self.student_taps[0]]
        theirs = tap_shapes(teacher, self.teacher_taps)[self.teacher_taps[0]]
        if ours.ratio != theirs.ratio:
            raise ValueError(
                f"tap {self.student_taps[0]!r} is {ours.ratio} of the LR side and "
                f"{self.teacher_taps[0]!r} is {theirs.ratio}: choose two of the same size with "
                "student_taps and teacher_taps"
            )
        return ours.channels, theirs.channels


class PisrTeacher(Objective):
    """First run: the teacher, which is the network that is trained here.

    Args:
        student: `fsrcnn-teacher`.
        imitation: Weight of the distance between its code and the LR image.
    """

    needs_teacher = False
    student_taps = ("core.encoder",)

    def __init__(self, *, student: nn.Module, imitation: float = 1e-4) -> None:
        super().__init__()
        if not isinstance(student, HrTeacher):
            raise ValueError("objective pisr-teacher trains only --student fsrcnn-teacher")
        self.imitation = imitation
        self.colour = LumaPath(student.scale)

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr` and `imitation`."""
        code = seen.student[self.student_taps[0]]
        lr = self.colour.luma(seen.lr.flatten(0, 1))
        return {
            RECONSTRUCTION: _l1(seen, self.colour),
            "imitation": self.imitation * (code - lr).abs().mean(),
        }


def _luma_path(student: nn.Module) -> LumaPath | None:
    spec = spec_of(student)
    return LumaPath(spec.scale) if spec.colour == "y" else None


def _l1(seen: Observation, colour: LumaPath | None) -> Tensor:
    sr, hr = seen.student_sr.flatten(0, 1), seen.hr.flatten(0, 1)
    if colour is not None:
        sr, hr = colour.luma(sr), colour.luma(hr)
    return (sr - hr).abs().mean()
