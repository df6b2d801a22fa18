from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.channel_split import leading_corners
from vsrc.compressor.objectives.csd import Csd, contrast_ratios
from vsrc.compressor.objectives.vgg import LAYER_WEIGHTS, VggFeatures
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.runtime.errors import MismatchError, MissingDependencyError

VGG16_LAYERS = {0: (3, 2), 2: (2, 2), 5: (2, 4), 7: (4, 4), 10: (4, 4), 12: (4, 4), 14: (4, 4)}
VGG16_LAYERS |= {17: (4, 5), 19: (5, 5), 21: (5, 5), 24: (5, 5)}


@pytest.fixture
def small_vgg(tmp_path: Path) -> Path:
    """A file with VGG16's layers, a few channels each."""
    torch.manual_seed(5)
    state = {}
    for layer, (inputs, outputs) in VGG16_LAYERS.items():
        state[f"features.{layer}.weight"] = torch.randn(outputs, inputs, 3, 3) / 4
        state[f"features.{layer}.bias"] = torch.randn(outputs) / 4
    save_file(state, tmp_path / "vgg.safetensors")
    return tmp_path / "vgg.safetensors"


@pytest.fixture(scope="module")
def vgg(reference: Path) -> VggFeatures:
    return VggFeatures(reference / "weights" / "vgg16_features_fp16.safetensors")


@pytest.mark.slow
def test_features_are_those_of_the_published_net(
    vgg: VggFeatures, golden_loss: Callable[[str], dict[str, Tensor]]
) -> None:
    golden = golden_loss("csd")
    features = vgg(golden["vgg_input"].float())
    for block, feature in enumerate(features, start=1):
        expected = golden[f"vgg_relu{block}_1"].float()
        # The weights were rounded to half precision, a relative error of up to 1/2048 each.
        error = (feature - expected).abs().max() / expected.abs().max()
        assert error < 2e-3, block


@pytest.mark.slow
def test_the_loss_is_the_official_one(
    vgg: VggFeatures, golden_loss: Callable[[str], dict[str, Tensor]]
) -> None:
    golden = golden_loss("csd")
    student, teacher, negatives, hr = (
        golden[name].float() / 255 for name in ("student", "teacher", "neg", "hr")
    )
    student.requires_grad_()
    ratios = contrast_ratios(vgg, student, teacher, negatives)
    # Weights in half precision, as above.
    torch.testing.assert_close(ratios, golden["per_layer_ratio"].float(), rtol=1e-3, atol=0)
    loss = (ratios * torch.tensor(LAYER_WEIGHTS)).sum()
    torch.testing.assert_close(loss, golden["loss"].float(), rtol=1e-3, atol=0)
    l1 = 255 * ((student - hr).abs().mean() + (teacher - hr).abs().mean())
    total = golden["total_l1_200contrast_l1t"].float()
    torch.testing.assert_close(l1 + 200 * loss, total, rtol=1e-3, atol=0)


def test_the_distance_to_negatives_is_their_sum(small_vgg: Path) -> None:
    torch.manual_seed(0)
    vgg = VggFeatures(small_vgg)
    student, teacher, negatives = (torch.rand(n, 3, 16, 16) for n in (2, 2, 3))
    found = contrast_ratios(vgg, student, teacher, negatives)
    for index, ratio in enumerate(found):
        ours, target, others = (vgg(x * 255)[index] for x in (student, teacher, negatives))
        # (K, N, C, H, W): every negative against every sample, summed over negatives only.
        repelled = (others[:, None] - ours[None]).abs().sum(0).mean()
        torch.testing.assert_close(ratio, (target - ours).abs().mean() / (repelled + 1e-7))


def test_gradient_agrees_with_finite_differences(small_vgg: Path) -> None:
    torch.manual_seed(0)
    vgg = VggFeatures(small_vgg).double()
    teacher, negatives = (torch.rand(1, 3, 16, 16, dtype=torch.float64) for _ in range(2))
    student = torch.rand(1, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x: contrast_ratios(vgg, x, teacher, negatives), student, fast_mode=True
    )


def step_of_two_widths(vgg: Path) -> tuple[DistillationStep, Csd]:
    torch.manual_seed(0)
    size = {"blocks": 1, "features": 8, "rgb_range": 1.0}
    teacher = create("edsr", **size)
    student = create("edsr", width=0.5, **size)
    objective = Csd(student=student, teacher=teacher, vgg=str(vgg), negatives=2)
    return DistillationStep(student, objective, teacher), objective


def test_both_widths_learn_on_one_set_of_weights(small_vgg: Path) -> None:
    distillation, _ = step_of_two_widths(small_vgg)
    assert distillation.learning_teacher is not None
    teacher, student = distillation.learning_teacher.network, distillation.student.network
    optimizer = torch.optim.SGD([p for p in distillation.parameters() if p.requires_grad], lr=0.1)
    before = {key: tensor.clone() for key, tensor in student.state_dict().items()}
    terms = distillation(torch.rand(2, 1, 3, 4, 4), torch.rand(2, 1, 3, 16, 16))
    assert list(terms) == ["hr", "contrast", "teacher"]
    # What the student alone learns reaches the corner of the teacher's weight, and no further.
    torch.autograd.backward(terms["contrast"], retain_graph=True)
    gradient = teacher.get_parameter("head.weight").grad
    assert gradient is not None
    assert gradient[:4].abs().sum() > 0
    assert gradient[4:].abs().sum() == 0
    torch.autograd.backward(torch.stack(list(terms.values())).sum())
    optimizer.step()
    distillation.after_update()
    corners = leading_corners(teacher.state_dict(), student)
    for key, tensor in student.state_dict().items():
        assert torch.equal(tensor, corners[key])
    assert not torch.equal(before["head.weight"], student.state_dict()["head.weight"])


def test_each_of_several_widths_is_drawn_and_learns(small_vgg: Path) -> None:
    torch.manual_seed(0)
    size = {"blocks": 1, "features": 8, "rgb_range": 1.0}
    teacher, student = create("edsr", **size), create("edsr", width=0.5, **size)
    objective = Csd(student=student, teacher=teacher, vgg=str(small_vgg), negatives=1)
    others = [create("edsr", width=width, **size) for width in (0.25, 0.75)]
    distillation = DistillationStep(student, objective, teacher, other_widths=others)
    assert distillation.learning_teacher is not None
    weight = distillation.learning_teacher.network.get_parameter("head.weight")
    reached = set()
    for step in range(20):
        torch.manual_seed(step)
        distillation.zero_grad()
        terms = distillation(torch.rand(1, 1, 3, 4, 4), torch.rand(1, 1, 3, 16, 16))
        torch.autograd.backward(terms["hr"])  # of the student alone
        assert weight.grad is not None
        reached.add(int((weight.grad.abs().flatten(1).sum(1) > 0).sum()))
    assert reached == {2, 4, 6}
    assert not any("width" in key for key in distillation.state_dict())


def test_the_teacher_is_saved_and_the_classifier_is_not(small_vgg: Path) -> None:
    distillation, _ = step_of_two_widths(small_vgg)
    state = distillation.state_beside_student()
    assert "learning_teacher.network.head.weight" in state
    assert not any("vgg" in key for key in state)


def test_more_negatives_than_pictures_are_refused(small_vgg: Path) -> None:
    distillation, _ = step_of_two_widths(small_vgg)
    with pytest.raises(ValueError, match=r"negatives=2 .* 1 .*negatives=1"):
        distillation(torch.rand(1, 1, 3, 4, 4), torch.rand(1, 1, 3, 16, 16))


@pytest.mark.parametrize(("name", "window"), [("edge-m", 5), ("edge-s", 3)])
def test_two_different_networks_cannot_share(small_vgg: Path, name: str, window: int) -> None:
    student, teacher = create("edge-s"), create(name, window=window)
    with pytest.raises(MismatchError, match=r"(body\.10|fusion)\.conv1?\.weight"):
        Csd(student=student, teacher=teacher, vgg=str(small_vgg))


def test_a_missing_classifier_says_where_it_is() -> None:
    with pytest.raises(MissingDependencyError, match=r"https://.*vgg19.*objective_options\.vgg"):
        VggFeatures(Path("nowhere.pth"))


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    save_file({"features.0.weight": torch.zeros(1, 3, 3, 3)}, tmp_path / "x.safetensors")
    with pytest.raises(MismatchError, match=r"x\.safetensors .*\[0\].*VGG16 .*VGG19"):
        VggFeatures(tmp_path / "x.safetensors")
