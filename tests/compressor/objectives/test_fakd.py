from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from vsrc.compressor.networks import create
from vsrc.compressor.objectives.affinity import affinity_distance, unit_pixels
from vsrc.compressor.objectives.fakd import Fakd
from vsrc.compressor.objectives.objective import Observation


def plain_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """The formula with whole matrices."""
    ours, theirs = (unit_pixels(feature) for feature in (student, teacher))
    return (ours.mT @ ours - theirs.mT @ theirs).abs().mean()


@pytest.mark.parametrize("block_bytes", [1, 8 * 30, 8 * 30 * 7, 1 << 20])
def test_blocks_of_any_size_give_value_and_gradient_of_the_plain_form(block_bytes: int) -> None:
    torch.manual_seed(0)
    student = torch.randn(2, 4, 5, 6, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(2, 7, 5, 6, dtype=torch.float64)
    plain = plain_distance(student, teacher)
    blocks = affinity_distance(student, teacher, block_bytes=block_bytes)
    torch.testing.assert_close(blocks, plain, rtol=1e-12, atol=1e-12)
    (expected,) = torch.autograd.grad(plain, student)
    (found,) = torch.autograd.grad(blocks, student)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-12)


def test_gradient_agrees_with_finite_differences() -> None:
    torch.manual_seed(0)
    student = torch.randn(1, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    teacher = torch.randn(1, 3, 3, 4, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: affinity_distance(x, teacher), student)


def test_no_matrix_of_all_pixels_is_ever_made() -> None:
    largest = 0

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self,
            func: Callable[..., object],
            _types: object,
            args: tuple[object, ...] = (),
            kwargs: dict[str, object] | None = None,
        ) -> object:
            nonlocal largest
            result = func(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel() * result.element_size())
            return result

    pixels, block = 40 * 40, 1 << 20
    feature = torch.randn(1, 4, 40, 40)
    with Watch():  # type: ignore[no-untyped-call]
        affinity_distance(feature, feature * 2, block_bytes=block)
    assert block / 2 < largest <= block < pixels * pixels * 4


def test_the_loss_is_the_official_one(golden_loss: Callable[[str], dict[str, Tensor]]) -> None:
    golden = golden_loss("fakd")
    taps = ("a", "b", "c")
    objective = Fakd(
        student=create("edge", features=24, blocks=4), teacher=create("edvr-xs"), weight=10.0
    )
    objective.student_taps = objective.teacher_taps = taps
    student_sr = golden["student_sr"].unsqueeze(1).requires_grad_()
    first = golden["student_f0"].clone().requires_grad_()
    student = {"a": first, "b": golden["student_f1"], "c": golden["student_f2"]}
    teacher = {tap: golden[f"teacher_f{i}"] for i, tap in enumerate(taps)}
    hr, teacher_sr = golden["hr"].unsqueeze(1), golden["teacher_sr"].unsqueeze(1)
    terms = objective(Observation(hr, hr, student_sr, teacher_sr, student, teacher))
    torch.testing.assert_close(terms["hr"], golden["ds_l1"] / 2, rtol=1e-9, atol=0)
    torch.testing.assert_close(terms["output"], golden["ts_l1"] / 2, rtol=1e-9, atol=0)
    torch.testing.assert_close(terms["affinity"], 10 * golden["sa_unweighted"], rtol=1e-9, atol=0)
    total = torch.stack(list(terms.values())).sum()
    torch.testing.assert_close(total, golden["loss"], rtol=1e-9, atol=0)
    by_feature, by_sr = torch.autograd.grad(total, (first, student_sr))
    # Stored rounded to float32.
    torch.testing.assert_close(by_feature, golden["grad_student_f0"], rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(by_sr.squeeze(1), golden["grad_student_sr"], rtol=1e-6, atol=1e-8)


def test_features_of_different_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(4, 4\) .*\(8, 8\)"):
        affinity_distance(torch.rand(1, 2, 4, 4), torch.rand(1, 2, 8, 8))
