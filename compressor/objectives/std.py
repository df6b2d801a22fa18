"""`std`: space and time distillation for video (Xiao et al., CVPR 2021).

With F^SR the feature at output resolution right before the last convolution, for each of the L
frames t of a clip:

    M_t  = sum_c F_t^2                      attention over space (or sum |F|, or max |F|^2)
    L_SD = 1/L sum_t || M_t(student) - M_t(teacher) ||_2
    C    = cell state of a ConvLSTM fed M_1 ... M_L; the same ConvLSTM for both networks
    L_TD = || C(teacher) - C(student) ||_2
    L    = Charbonnier(SR, HR) + lambda_space L_SD + lambda_time L_TD

The ConvLSTM is trained along, and weights of zero would make L_TD zero for any student; so it is
frozen once L_TD falls under 1e-8. The paper's lambdas, ConvLSTM size and Charbonnier epsilon are
not known to us, the defaults below are our own: lambdas from short runs on patches of 64 pixels
(`benchmarks/distillation.py`), where 0.001 to 0.01 did alike and less did nothing; one hidden
channel because the cell is fed one, and more cost more than the student. Both norms grow with the
side of the patch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vsrc.compressor.objectives.adapter import SubPixelAdapter
from vsrc.compressor.objectives.conv_lstm import ConvLstm
from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
    charbonnier,
)
from vsrc.compressor.tap_shapes import tap_shapes
from vsrc.compressor.taps import spec_of

MapKind = Literal["sum", "sum2", "max2"]
FREEZE_BELOW = 1e-8


class Std(Objective):
    """Space and time distillation.

    Args:
        student: Taught network. Without an HR feature (`spec.hr_features`), or with another channel
            count than the teacher's, its last feature goes through a sub-pixel adapter that exists
            in training alone.
        teacher: Network with an HR feature.
        lambda_space: Weight of L_SD.
        lambda_time: Weight of L_TD; 0 leaves it out.
        map_kind: `sum2` is sum_c F^2, `sum` is sum_c |F|, `max2` is max_c F^2.
        hidden: Channels of the ConvLSTM.
        epsilon: Of the Charbonnier loss.
    """

    needs_time = True

    def __init__(
        self,
        *,
        student: nn.Module,
        teacher: nn.Module,
        lambda_space: float = 1e-3,
        lambda_time: float = 1e-3,
        map_kind: MapKind = "sum2",
        hidden: int = 1,
        epsilon: float = 1e-3,
    ) -> None:
        super().__init__()
        if map_kind not in get_args(MapKind):
            raise ValueError(f"{map_kind=} is not one of {', '.join(get_args(MapKind))}")
        self.lambda_space, self.lambda_time = lambda_space, lambda_time
        self.map_kind, self.epsilon = map_kind, epsilon
        self.student_tap, self.teacher_tap = _student_tap(student), _teacher_tap(teacher)
        self.student_taps, self.teacher_taps = (self.student_tap,), (self.teacher_tap,)
        self.adapter = _adapter(student, self.student_tap, teacher, self.teacher_tap)
        # Without its term it would have parameters that never get a gradient.
        self.lstm = ConvLstm(1, hidden=hidden) if lambda_time > 0 else None
        self.lstm_frozen: Tensor
        self.register_buffer("lstm_frozen", torch.tensor(False))

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr`, `space` and, unless it weighs nothing, `time`."""
        student, teacher = self.maps(seen)
        terms = {RECONSTRUCTION: charbonnier(seen.student_sr, seen.hr, epsilon=self.epsilon)}
        terms["space"] = self.lambda_space * space_distance(student, teacher)
        if self.lstm is not None:
            time = time_distance(self.lstm, student, teacher)
            terms["time"] = self.lambda_time * time
        return terms

    def maps(self, seen: Observation) -> tuple[Tensor, Tensor]:
        """Maps of student and teacher, `(N, F, sH, sW)` each."""
        with torch.no_grad():
            teacher = attention_map(seen.teacher[self.teacher_tap], self.map_kind)
        feature = seen.student[self.student_tap]
        if self.adapter is None:
            student = attention_map(feature, self.map_kind)
        else:
            wide = self.adapter.before_shuffle(feature)
            small = attention_map(wide, self.map_kind)
            student = nn.functional.pixel_shuffle(small, self.adapter.factor).squeeze(1)
        clips = (-1, seen.frames, *teacher.shape[1:])
        return student.reshape(clips), teacher.reshape(clips)

    def before_update(self, terms: Mapping[str, float]) -> None:
        """Freeze the ConvLSTM, from the step on where L_TD is next to nothing."""
        if self.lstm is None:
            return
        if terms["time"] / self.lambda_time < FREEZE_BELOW:
            self.lstm_frozen.fill_(True)
        if self.lstm_frozen:
            # Parameters without a gradient are skipped by the optimiser, momentum and all; they
            # stay part of the graph, which several processes must agree on.
            for parameter in self.lstm.parameters():
                parameter.grad = None


def attention_map(feature: Tensor, kind: MapKind) -> Tensor:
    """Where a feature `(N, C, ...)` is strong: `(N, ...)`."""
    if kind == "sum":
        return feature.abs().sum(1)
    if kind == "sum2":
        return feature.square().sum(1)
    return feature.square().amax(1)


def space_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """L_SD of maps `(N, L, H, W)`: the L2 norm of each frame's difference, averaged."""
    norms: Tensor = torch.linalg.vector_norm(student - teacher, dim=(2, 3))
    return norms.mean()


def time_distance(lstm: Callable[[Tensor], Tensor], student: Tensor, teacher: Tensor) -> Tensor:
    """L_TD of maps `(N, L, H, W)`: the L2 norm of the last cells' difference, averaged over N."""
    cells = lstm(torch.cat((student, teacher)).unsqueeze(2))
    taught, given = cells.chunk(2)
    norms: Tensor = torch.linalg.vector_norm(given - taught, dim=(1, 2, 3))
    return norms.mean()


def _student_tap(student: nn.Module) -> str:
    spec = spec_of(student)
    if spec.hr_features is None and not spec.stages:
        raise ValueError(
            f"{spec.name} names neither hr_features nor stages in its spec: std has nothing to see"
        )
    return spec.hr_features or spec.stages[-1]


def _teacher_tap(teacher: nn.Module) -> str:
    spec = spec_of(teacher)
    if spec.hr_features is None:
        raise ValueError(
            f"{spec.name} has no feature at output resolution (hr_features in its spec), which std "
            "learns from: choose another teacher, or another objective"
        )
    return spec.hr_features


def _adapter(
    student: nn.Module, student_tap: str, teacher: nn.Module, teacher_tap: str
) -> SubPixelAdapter | None:
    source = tap_shapes(student, [student_tap])[student_tap]
    target = tap_shapes(teacher, [teacher_tap])[teacher_tap]
    return None if source == target else SubPixelAdapter(source, target)
