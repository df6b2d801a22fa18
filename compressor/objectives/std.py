"""`std`: space and time distillation for video (Xiao et al., CVPR 2021).

With F_t = F^SR, `(C, sH, sW)`, the feature at output resolution right before the last convolution,
for each of the L frames t of a clip:

    M_t  = sum_c F_t^2                      attention over space (or sum |F|, or max |F|^2)
    L_SD = 1/L sum_t || M_t(student) - M_t(teacher) ||_2
    C    = cell state of a ConvLSTM fed F_1 ... F_L; the same ConvLSTM for both networks
    L_TD = || C(teacher) - C(student) ||_2
    L    = Charbonnier(SR, HR) + lambda_space L_SD + lambda_time L_TD

The ConvLSTM is trained along, and weights of zero would make L_TD zero for any student; so it is
frozen once L_TD falls under 1e-8. Both networks share it, so both must have the same number of
channels: a student with another number, or without a feature at that size, goes through a 1x1
    convolution
(and a pixel shuffle) that exists in training alone. `features="lr"` compares the last features at
LR size instead: for networks without F^SR, and at 1 / scale^2 of the cost. `temporal_input="maps"`
feeds the ConvLSTM M_1 ... M_L instead of the features, at negligible cost.

The paper's lambdas, ConvLSTM size and Charbonnier epsilon are not known to us; the defaults are our
choice, from short runs on patches of 64 pixels (`benchmarks/distillation.py`). Both norms grow with
the side of the patch. Both depend on the magnitude of the features, too: those of a teacher that
works in 0..255 are brought into the student's range first (`teacher_scale`), which the paper, whose
networks are of one kind, does not need.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vsrc.compressor.features.feature_range import teacher_factors
from vsrc.compressor.features.tap_shapes import tap_shapes
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.objectives.adapter import SubPixelAdapter
from vsrc.compressor.objectives.conv_lstm import ConvLstm
from vsrc.compressor.objectives.objective import (
    RECONSTRUCTION,
    Objective,
    Observation,
    charbonnier,
)

MapKind = Literal["sum", "sum2", "max2"]
FeatureSize = Literal["sr", "lr"]
TemporalInput = Literal["features", "maps"]
FREEZE_BELOW = 1e-8


class Std(Objective):
    """Space and time distillation.

    Args:
        student: Network that is trained.
        teacher: Network that is imitated.
        lambda_space: Weight of L_SD.
        lambda_time: Weight of L_TD; 0 disables it.
        map_kind: `sum2` is sum_c F^2, `sum` is sum_c |F|, `max2` is max_c F^2.
        temporal_input: Input of the ConvLSTM: the `features`, as in the paper, or their `maps`.
        features: `sr`, the features at output size (`spec.hr_features`; a student without them is
            tapped at its last stage and upsampled), or `lr`, the last of `spec.stages` of both.
        hidden: Channels of the ConvLSTM.
        teacher_scale: Factor of the teacher's features; 0 measures it on the sample clip: 1, unless
            the teacher works in another range of values.
        epsilon: Epsilon of the Charbonnier loss.

    Raises:
        ValueError: An option out of its range, or a network without the requested features.
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
        temporal_input: TemporalInput = "features",
        features: FeatureSize = "sr",
        hidden: int = 1,
        teacher_scale: float = 0.0,
        epsilon: float = 1e-3,
    ) -> None:
        super().__init__()
        _check_choice("map_kind", map_kind, get_args(MapKind))
        _check_choice("temporal_input", temporal_input, get_args(TemporalInput))
        _check_choice("features", features, get_args(FeatureSize))
        self.lambda_space, self.lambda_time = lambda_space, lambda_time
        self.map_kind, self.epsilon = map_kind, epsilon
        self.feeds_features = temporal_input == "features" and lambda_time > 0
        self.student_tap = _student_tap(student, features)
        self.teacher_tap = _teacher_tap(teacher, features)
        self.student_taps, self.teacher_taps = (self.student_tap,), (self.teacher_tap,)
        pairs = [(self.student_tap, self.teacher_tap)]
        (self.teacher_scale,) = teacher_factors(
            "std", student=student, teacher=teacher, pairs=pairs, given=teacher_scale
        )
        source = tap_shapes(student, self.student_taps)[self.student_tap]
        target = tap_shapes(teacher, self.teacher_taps)[self.teacher_tap]
        self.adapter = None if source == target else SubPixelAdapter(source, target)
        channels = target.channels if self.feeds_features else 1
        # Without its term it would have parameters that never get a gradient.
        self.lstm = ConvLstm(channels, hidden=hidden) if lambda_time > 0 else None
        self.lstm_frozen: Tensor
        self.register_buffer("lstm_frozen", torch.tensor(False))

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        """Terms `hr`, `space` and, unless its weight is 0, `time`."""
        if self.feeds_features:
            student, teacher = inputs = self.aligned_features(seen)
            student_maps, teacher_maps = (
                attention_map(x.movedim(2, 1), self.map_kind) for x in (student, teacher)
            )
        else:
            student_maps, teacher_maps = self.maps(seen)
            inputs = (student_maps.unsqueeze(2), teacher_maps.unsqueeze(2))
        terms = {RECONSTRUCTION: charbonnier(seen.student_sr, seen.hr, epsilon=self.epsilon)}
        terms["space"] = self.lambda_space * space_distance(student_maps, teacher_maps)
        if self.lstm is not None:
            terms["time"] = self.lambda_time * time_distance(self.lstm, *inputs)
        return terms

    def aligned_features(self, seen: Observation) -> tuple[Tensor, Tensor]:
        """Features of student and teacher, `(N, F, C, sH, sW)` each, as wide as the teacher's."""
        student, teacher = seen.student[self.student_tap], self._teacher_feature(seen)
        if self.adapter is not None:
            student = self.adapter(student)
        clips = (-1, seen.frames, *teacher.shape[1:])
        return student.reshape(clips), teacher.reshape(clips)

    def maps(self, seen: Observation) -> tuple[Tensor, Tensor]:
        """Maps of student and teacher, `(N, F, sH, sW)` each.

        The same as `attention_map` of `aligned_features`, at less cost: see `before_shuffle`.
        """
        with torch.no_grad():
            teacher = attention_map(self._teacher_feature(seen), self.map_kind)
        feature = seen.student[self.student_tap]
        if self.adapter is None:
            student = attention_map(feature, self.map_kind)
        else:
            wide = self.adapter.before_shuffle(feature)
            small = attention_map(wide, self.map_kind)
            student = nn.functional.pixel_shuffle(small, self.adapter.factor).squeeze(1)
        clips = (-1, seen.frames, *teacher.shape[1:])
        return student.reshape(clips), teacher.reshape(clips)

    def _teacher_feature(self, seen: Observation) -> Tensor:
        return seen.teacher[self.teacher_tap].detach() * self.teacher_scale

    def before_update(self, terms: Mapping[str, float]) -> None:
        """Freeze the ConvLSTM once L_TD is below the threshold."""
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
    """Attention map `(N, ...)` of a feature `(N, C, ...)`."""
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
    """L_TD: the L2 norm of the last cells' difference, averaged over N.

    Args:
        lstm: From `(2 N, L, C, H, W)` to the cell `(2 N, hidden, H, W)` after the last frame.
        student: Inputs of the ConvLSTM, `(N, L, C, H, W)`.
        teacher: The teacher's, same shape.
    """
    cells = lstm(torch.cat((student, teacher)))
    student_cell, teacher_cell = cells.chunk(2)
    norms: Tensor = torch.linalg.vector_norm(teacher_cell - student_cell, dim=(1, 2, 3))
    return norms.mean()


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} is not one of {', '.join(choices)}")


def _student_tap(student: nn.Module, size: FeatureSize) -> str:
    spec = spec_of(student)
    tap = spec.hr_features if size == "sr" else None
    if tap is None and not spec.stages:
        raise ValueError(
            f"{spec.name} lists neither hr_features nor stages in its spec: std has no feature "
            "to compare; add them to the network's spec"
        )
    return tap or spec.stages[-1]


def _teacher_tap(teacher: nn.Module, size: FeatureSize) -> str:
    spec = spec_of(teacher)
    if size == "lr":
        if not spec.stages:
            raise ValueError(
                f"{spec.name} names no stages in its spec, the last of which is tapped"
            )
        return spec.stages[-1]
    if spec.hr_features is None:
        raise ValueError(
            f"{spec.name} has no feature at output resolution (hr_features in its spec): compare "
            "at LR size with --set objective_options.features=lr, or choose another teacher"
        )
    return spec.hr_features
