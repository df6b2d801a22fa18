from __future__ import annotations

import json
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from vsrc.compressor.networks import create
from vsrc.compressor.networks.image.hr_teacher import HrTeacher
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.pisr import Pisr, PisrTeacher
from vsrc.compressor.objectives.variational import Density, Spread, VariationalHead
from vsrc.compressor.training.distillation_step import DistillationStep

OFFICIAL_NAMES = {"element": "None", "channel": "C", "pixel": "HW", "sample": "CHW"}


def golden_head(reference: Path, *, density: Density, spread: Spread) -> VariationalHead:
    head = VariationalHead(8, 8, density=density, spread=spread).double()
    name = OFFICIAL_NAMES[spread]
    text = (reference / "golden" / "loss_pisr.manifest.json").read_text(encoding="utf-8")
    for key, entry in json.loads(text)["heads"][name].items():
        numbers = np.random.Generator(np.random.PCG64(zlib.crc32(key.encode())))
        values = numbers.standard_normal(tuple(entry["shape"])) * entry["mul"] + entry["add"]
        ours = key.replace(f"{name}_mean", "mean_head").replace(f"{name}_var", "spread_head")
        values = values.astype(np.float32).astype(np.float64)
        head.get_parameter(ours).data.copy_(torch.from_numpy(values))
    return head


@pytest.mark.parametrize("spread", ["element", "channel", "pixel", "sample"])
@pytest.mark.parametrize("density", ["laplace", "gaussian"])
def test_the_likelihood_is_the_official_one(
    reference: Path,
    golden_loss: Callable[[str], dict[str, Tensor]],
    density: Density,
    spread: Spread,
) -> None:
    golden, name = golden_loss("pisr"), OFFICIAL_NAMES[spread]
    head = golden_head(reference, density=density, spread=spread)
    feature = golden["student_feat"].clone().requires_grad_()
    mean, softplus = head.distribution(feature)
    # Stored rounded to float32, but for the scalars.
    torch.testing.assert_close(mean, golden[f"{name}_mean"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(softplus, golden[f"{name}_scale_softplus"], rtol=1e-6, atol=1e-7)
    loss = head(feature, golden["teacher_feat"])
    expected = golden[f"{density}_{name}_vid_unweighted"]
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    (gradient,) = torch.autograd.grad(loss, feature)
    expected = golden[f"{density}_{name}_grad_student_feat"]
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("spread", ["element", "sample"])
@pytest.mark.parametrize("density", ["laplace", "gaussian"])
def test_gradients_agree_with_finite_differences(density: Density, spread: Spread) -> None:
    torch.manual_seed(0)
    head = VariationalHead(2, 3, density=density, spread=spread).double()
    feature = torch.randn(2, 2, 3, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 3, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: head(x, target), feature)


def luma_as_rgb(luma: Tensor) -> Tensor:
    """Grey RGB, `(N, 1, 3, H, W)`, whose Y of BT.601 is the given `(N, 1, H, W)`."""
    return ((luma * 255 - 16) / 219).repeat(1, 3, 1, 1).unsqueeze(1)


def test_the_student_total_is_the_official_one(
    reference: Path, golden_loss: Callable[[str], dict[str, Tensor]]
) -> None:
    golden = golden_loss("pisr")
    objective = Pisr(student=create("fsrcnn", channels=1), teacher=HrTeacher()).double()
    objective.head = golden_head(reference, density="laplace", spread="element")
    hr = luma_as_rgb(golden["HR"])
    terms = objective(
        Observation(
            lr=hr,
            hr=hr,
            student_sr=luma_as_rgb(golden["student_hr"]),
            student={objective.student_taps[0]: golden["student_feat"]},
            teacher={objective.teacher_taps[0]: golden["teacher_feat"]},
        )
    )
    total = torch.stack(list(terms.values())).sum()
    # The matrix to luma was rounded to float32 when it was made.
    torch.testing.assert_close(total, golden["laplace_None_total"], rtol=1e-6, atol=0)


def test_the_teacher_total_is_the_official_one(
    golden_loss: Callable[[str], dict[str, Tensor]],
) -> None:
    golden = golden_loss("pisr")
    objective = PisrTeacher(student=HrTeacher()).double()
    terms = objective(
        Observation(
            lr=luma_as_rgb(golden["LR"]),
            hr=luma_as_rgb(golden["HR"]),
            student_sr=luma_as_rgb(golden["teacher_hr"]),
            student={"core.encoder": golden["encoded"]},
        )
    )
    torch.testing.assert_close(terms["hr"], golden["teacher_gt_l1"], rtol=1e-6, atol=0)
    expected = 1e-4 * golden["teacher_imitation_unweighted"]
    torch.testing.assert_close(terms["imitation"], expected, rtol=1e-6, atol=0)


def test_the_teacher_restores_the_luma_of_what_it_is_shown() -> None:
    torch.manual_seed(0)
    teacher, hr = HrTeacher().eval(), torch.rand(2, 3, 8, 12)
    colour = LumaPath(4)
    restored, _ = teacher.core(colour.luma(hr))
    torch.testing.assert_close(colour.luma(teacher(hr)), restored, rtol=0, atol=1e-6)


def test_the_student_starts_as_the_decoder_and_learns_from_one_that_sees_hr() -> None:
    torch.manual_seed(0)
    student, teacher = create("fsrcnn", channels=1), create("fsrcnn-teacher")
    assert isinstance(teacher, HrTeacher)
    objective = create_objective("pisr", student=student, teacher=teacher)
    decoder = teacher.core.decoder.state_dict()
    assert all(torch.equal(student.state_dict()[key], tensor) for key, tensor in decoder.items())
    terms = DistillationStep(student, objective, teacher)(
        torch.rand(2, 1, 3, 5, 6), torch.rand(2, 1, 3, 20, 24)
    )
    assert list(terms) == ["hr", "vid"]
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    gradient = student.get_parameter("expand.0.weight").grad
    assert gradient is not None
    assert gradient.abs().sum() > 0


def test_taps_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"'body\.3' .* 1 .*'hr_features' .* 4: .*student_taps"):
        Pisr(
            student=create("edge", features=24, blocks=4),
            teacher=create("edvr-xs"),
            teacher_taps="hr_features",
        )


def test_the_first_run_teaches_the_teacher_alone() -> None:
    with pytest.raises(ValueError, match=r"pisr-teacher .*--student fsrcnn-teacher"):
        create_objective("pisr-teacher", student=create("fsrcnn", channels=1))
