from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.objectives.objective import Objective, Observation
from vsrc.compressor.objectives.plain import Plain
from vsrc.compressor.objectives.std import Std
from vsrc.compressor.training.distillation_step import DistillationStep, Targets


class Witness(Objective):
    """Keeps what it was shown."""

    student_taps = ("body.0",)
    teacher_taps = ("hr_features",)

    def __init__(self) -> None:
        super().__init__()
        self.seen: Observation | None = None
        self.product_dtype = torch.float32

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        self.seen = seen
        feature = seen.student["body.0"].flatten(1)
        self.product_dtype = (feature @ feature.T).dtype
        return {"hr": (seen.student_sr - seen.hr).square().mean()}


def look(
    *, targets: Targets = "all", teacher_dtype: torch.dtype = torch.float32, autocast: bool = False
) -> tuple[Witness, Observation, nn.Module, nn.Module]:
    torch.manual_seed(0)
    student, teacher = create("edge-s", window=3), create("edvr-xs", window=3)
    witness = Witness()
    distillation = DistillationStep(
        student, witness, teacher, targets=targets, teacher_dtype=teacher_dtype
    )
    lr, hr = torch.rand(2, 3, 3, 8, 8), torch.rand(2, 3, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        terms = distillation(lr, hr)
    torch.autograd.backward(terms["hr"])
    assert witness.seen is not None
    return witness, witness.seen, student, teacher


@pytest.mark.parametrize(("targets", "frames"), [("all", 3), ("centre", 1), ("auto", 1)])
def test_the_frames_asked_for_are_seen(targets: Targets, frames: int) -> None:
    _, seen, _, _ = look(targets=targets)
    assert seen.frames == frames
    assert seen.teacher_sr is not None
    assert seen.lr.shape == (2, frames, 3, 8, 8)
    assert seen.hr.shape == seen.student_sr.shape == seen.teacher_sr.shape == (2, frames, 3, 32, 32)
    assert seen.student["body.0"].shape == (2 * frames, 32, 8, 8)
    assert seen.teacher["hr_features"].shape == (2 * frames, 16, 32, 32)


def test_the_student_gets_gradients_and_the_teacher_none() -> None:
    _, seen, student, teacher = look()
    assert seen.teacher_sr is not None
    assert not seen.teacher_sr.requires_grad
    assert not seen.teacher["hr_features"].requires_grad
    assert all(p.grad is not None for p in student.parameters())
    assert all(p.grad is None and not p.requires_grad for p in teacher.parameters())
    assert not teacher.training


@pytest.mark.parametrize("teacher_dtype", [torch.float32, torch.bfloat16])
def test_an_objective_works_in_float32_whatever_the_networks_work_in(
    teacher_dtype: torch.dtype,
) -> None:
    witness, seen, _, _ = look(teacher_dtype=teacher_dtype, autocast=True)
    features = [seen.student_sr, seen.student["body.0"], seen.teacher["hr_features"]]
    assert {feature.dtype for feature in features} == {torch.float32}
    assert witness.product_dtype == torch.float32


def test_a_teacher_in_half_precision_says_nearly_the_same() -> None:
    _, exact, _, _ = look()
    _, rounded, _, _ = look(teacher_dtype=torch.bfloat16)
    expected, found = exact.teacher["hr_features"], rounded.teacher["hr_features"]
    # bfloat16 has 8 bits; the errors of some 20 layers add up to a few parts in a hundred.
    assert (found - expected).norm() < 0.03 * expected.norm()
    assert not torch.equal(found, expected)


def test_the_centre_alone_has_no_time_to_compare() -> None:
    student, teacher = create("edge-s"), create("edvr-xs")
    with pytest.raises(ValueError, match=r"targets='centre' .*'all'"):
        DistillationStep(student, Std(student=student, teacher=teacher), teacher, targets="centre")


def test_the_teacher_is_no_part_of_what_is_trained_or_saved() -> None:
    student, teacher = create("edge-s"), create("edvr-xs")
    distillation = DistillationStep(student, Plain(), teacher)
    assert sum(p.numel() for p in distillation.parameters()) == sum(
        p.numel() for p in student.parameters()
    )
    assert distillation.state_beside_student() == {}
