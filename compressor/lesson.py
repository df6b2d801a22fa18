"""Student, teacher and objective as one module: clips in, terms of the loss out."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from vsrc.compressor.clip_network import ClipNetwork
from vsrc.compressor.objectives.objective import Objective, Observation
from vsrc.compressor.taps import tapped

Targets = Literal["auto", "all", "centre"]


class Lesson(nn.Module):
    """One forward pass of distillation.

    It is this module that is wrapped for several processes, so that gradients of the student and of
    what the objective owns are averaged alike. The teacher is held beside the module tree: it is
    neither trained, nor saved, nor wrapped.

    Args:
        student: Network that is taught.
        objective: Made for these two networks.
        teacher: Network that is learnt from, or None.
        targets: Frames of a clip that are restored: all, the centre one, or (auto) all only if the
            objective looks at time.
        teacher_dtype: Arithmetic of the teacher; bfloat16 halves its memory and its time where the
            processor has it.
    """

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        teacher: nn.Module | None = None,
        *,
        targets: Targets = "auto",
        teacher_dtype: torch.dtype = torch.float32,
    ) -> None:
        super().__init__()
        if targets == "centre" and objective.needs_time:
            raise ValueError("targets='centre' leaves nothing over time to compare: use 'all'")
        self.student, self.objective = ClipNetwork(student), objective
        self.all_frames = targets == "all" or (targets == "auto" and objective.needs_time)
        self.teacher_dtype = teacher_dtype
        self._teacher: tuple[ClipNetwork, ...] = ()
        if teacher is not None:
            self._teacher = (ClipNetwork(teacher.eval().requires_grad_(False)),)

    def forward(self, lr: Tensor, hr: Tensor) -> dict[str, Tensor]:
        """Terms of the loss, name -> scalar.

        Args:
            lr: `(N, L, 3, H, W)` float32 RGB in [0, 1].
            hr: `(N, L, 3, sH, sW)`, ground truth.
        """
        length = lr.shape[1]
        frames = list(range(length)) if self.all_frames else [length // 2]
        teacher_sr, teacher_features = self._ask_teacher(lr, frames)
        with tapped(self.student.network, self.objective.student_taps) as student_features:
            student_sr = self.student(lr, frames)
        seen = Observation(
            lr=lr[:, frames],
            hr=hr[:, frames],
            student_sr=student_sr.float(),
            teacher_sr=teacher_sr,
            student=student_features,
            teacher=teacher_features,
        )
        terms: dict[str, Tensor] = self.objective(seen)
        return terms

    def frames_restored(self, length: int) -> int:
        """Frames that the student restores of a clip of `length` frames."""
        return length if self.all_frames else 1

    def place(self, device: torch.device, *, channels_last: bool) -> None:
        """Move all three to a device, features with channels innermost in memory where asked."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        for module in (self, *self._teacher):
            module.to(device=device)
            # torch's stub of `to` lacks the memory format.
            module.to(memory_format=layout)  # type: ignore[call-overload]

    def _ask_teacher(
        self, lr: Tensor, frames: list[int]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        if not self._teacher:
            return None, {}
        teacher, reduced = self._teacher[0], self.teacher_dtype != torch.float32
        autocast = torch.autocast(lr.device.type, self.teacher_dtype, enabled=reduced)
        taps = tapped(teacher.network, self.objective.teacher_taps)
        with torch.no_grad(), autocast, taps as features:
            sr = teacher(lr, frames)
        return sr.float(), features
