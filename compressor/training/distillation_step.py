"""Student, teacher and objective as one module: maps clips to loss terms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vsrc.compressor.features.clip_network import ClipNetwork, clip_for
from vsrc.compressor.features.taps import open_taps
from vsrc.compressor.networks.layers.channel_split import copy_leading_channels, leading_corners
from vsrc.compressor.objectives.objective import Objective, Observation
from vsrc.compressor.training.quantiser import Quantiser

Targets = Literal["auto", "all", "centre"]


class DistillationStep(nn.Module):
    """One forward pass of distillation.

    This module is the one wrapped for several processes, so that gradients of the student and of
    the objective's modules are averaged alike. A frozen teacher is kept outside the module tree: it
    is neither trained, nor saved, nor wrapped.

    Args:
        student: Network that is trained.
        objective: Objective built for these two networks.
        teacher: Network whose outputs are the targets, or None.
        targets: Frames of a clip that are upscaled: all, the centre one, or (auto) all only if the
            objective compares frames over time.
        teacher_dtype: Arithmetic of the teacher; bfloat16 halves its memory and its time where the
        processor supports it.
        quantiser: Quantiser of the student; None without int8 training.
        other_widths: Where student and teacher share weights: further widths of the student. Each
            step trains one width, drawn at random.

    Attributes:
        quantising: Whether the student currently computes in int8.
    """

    def __init__(
        self,
        student: nn.Module,
        objective: Objective,
        teacher: nn.Module | None = None,
        *,
        targets: Targets = "auto",
        teacher_dtype: torch.dtype = torch.float32,
        quantiser: Quantiser | None = None,
        other_widths: Sequence[nn.Module] = (),
    ) -> None:
        super().__init__()
        if targets == "centre" and objective.needs_time:
            raise ValueError("targets='centre' leaves no frames to compare over time: use 'all'")
        self.student, self.objective = ClipNetwork(student), objective
        self.all_frames = targets == "all" or (targets == "auto" and objective.needs_time)
        self.teacher_dtype = teacher_dtype
        self.quantiser, self.quantising = quantiser, False
        self.learning_teacher: ClipNetwork | None = None
        self._teacher: tuple[ClipNetwork, ...] = ()
        # Outside the module tree, like a frozen teacher: none has its own weights.
        self._widths: tuple[ClipNetwork, ...] = (self.student,)
        if teacher is not None and objective.shares_weights:
            self.learning_teacher = ClipNetwork(teacher)
            student.requires_grad_(False)
            self._widths = (self.student, *map(ClipNetwork, other_widths))
            self.after_update()
        elif teacher is not None:
            self._teacher = (ClipNetwork(teacher.eval().requires_grad_(False)),)

    def forward(
        self, lr: Tensor, hr: Tensor, teacher_sr: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Compute the loss terms, name -> scalar.

        Args:
            lr: `(N, L, 3, H, W)` float32 RGB in [0, 1].
            hr: `(N, L, 3, sH, sW)`, ground truth; or `(N, 1, 3, sH, sW)`, of the centre alone.
            teacher_sr: The teacher's stored output for the centre frame, `(N, 1, 3, sH, sW)`; the
                teacher is not run then.
        """
        length = lr.shape[1]
        frames = list(range(length)) if self.all_frames else [length // 2]
        teacher_features: dict[str, Tensor] = {}
        if teacher_sr is None:
            teacher_sr, teacher_features = self._ask_teacher(lr, hr, frames)
        student = self._drawn_student()
        network = student.network
        with open_taps(network, self.objective.student_taps) as features, self.as_deployed(network):
            student_sr = self._ask_student(student, lr, hr, frames)
        seen = Observation(
            lr=lr[:, frames],
            hr=hr if hr.shape[1] == len(frames) else hr[:, frames],
            student_sr=student_sr.float(),
            teacher_sr=teacher_sr,
            student={path: feature.float() for path, feature in features.items()},
            teacher={path: feature.float() for path, feature in teacher_features.items()},
        )
        # Objectives compute in float32, whatever the precision of the networks.
        with torch.autocast(lr.device.type, enabled=False):
            terms: dict[str, Tensor] = self.objective(seen)
        if self.quantiser is not None and not self.quantising:
            # DistributedDataParallel expects a gradient of every trained parameter.
            first = next(iter(terms))
            terms[first] = terms[first] + 0 * self.quantiser.log_ranges.sum()
        return terms

    @contextmanager
    def as_deployed(self, network: nn.Module) -> Iterator[None]:
        """Run the student, or a copy of it, in its deployed arithmetic: int8 or float."""
        if self.quantiser is None or not self.quantising:
            yield
            return
        with self.quantiser.applied(network):
            yield

    def count_upscaled_frames(self, length: int) -> int:
        """Number of frames that the student upscales of a clip of `length` frames."""
        return length if self.all_frames else 1

    def after_update(self) -> None:
        """Update the student's tensors where it shares those of its teacher."""
        if self.learning_teacher is not None:
            copy_leading_channels(self.learning_teacher.network, self.student.network)

    def state_beside_student(self) -> dict[str, Tensor]:
        """State of everything trained besides the student: adapters, heads, a trained teacher."""
        return {k: v for k, v in self.state_dict().items() if not k.startswith("student.")}

    def load_state_beside_student(self, state: Mapping[str, Tensor]) -> None:
        """Load the state returned by `state_beside_student`."""
        own = {k: v for k, v in self.state_dict().items() if k.startswith("student.")}
        self.load_state_dict({**own, **state})

    def place(self, device: torch.device, *, channels_last: bool) -> None:
        """Move all three to a device, in the channels_last memory format if requested."""
        for module in (self, *self._teacher, *self._widths):
            module.to(device)
            # The layout of a weight decides that of the feature. A 1x1 weight is the same in
            # both, and keeps the strides that DistributedDataParallel expects of its gradient.
            for weight in module.parameters() if channels_last else ():
                if weight.dim() == 4 and weight.shape[2:] != (1, 1):
                    weight.data = weight.data.contiguous(memory_format=torch.channels_last)

    def _drawn_student(self) -> ClipNetwork:
        if len(self._widths) == 1:
            return self.student
        return self._widths[int(torch.randint(len(self._widths), ()))]

    def _ask_student(
        self, student: ClipNetwork, lr: Tensor, hr: Tensor, frames: list[int]
    ) -> Tensor:
        clip = clip_for(student.network, lr=lr, hr=hr)
        if self.learning_teacher is None:
            sr: Tensor = student(clip, frames)
            return sr
        teacher = self.learning_teacher.network
        tensors = {**dict(teacher.named_parameters()), **dict(teacher.named_buffers())}
        corners = leading_corners(tensors, student.network)
        weights = {f"network.{key}": tensor for key, tensor in corners.items()}
        shared: Tensor = functional_call(student, weights, (clip, frames))
        return shared

    def _ask_teacher(
        self, lr: Tensor, hr: Tensor, frames: list[int]
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        if self.learning_teacher is not None:
            return self._tapped_pass(self.learning_teacher, lr, hr, frames)
        if not self._teacher:
            return None, {}
        reduced = self.teacher_dtype != torch.float32
        autocast = torch.autocast(lr.device.type, self.teacher_dtype, enabled=reduced)
        with torch.no_grad(), autocast:
            return self._tapped_pass(self._teacher[0], lr, hr, frames)

    def _tapped_pass(
        self, teacher: ClipNetwork, lr: Tensor, hr: Tensor, frames: list[int]
    ) -> tuple[Tensor, dict[str, Tensor]]:
        with open_taps(teacher.network, self.objective.teacher_taps) as features:
            sr: Tensor = teacher(clip_for(teacher.network, lr=lr, hr=hr), frames)
        return sr.float(), features
