from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from vsrc.compressor.networks import create
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.srkd import ChannelStatistic, Srkd, channel_statistic


@pytest.mark.parametrize(
    ("statistic", "power", "name"),
    [
        ("mean", 1, "mean_pow1"),
        ("mean", 2, "mean_pow2"),
        ("power_mean", 2, "pow2_mean"),
        ("max", 2, "max"),
        ("min", 2, "min"),
    ],
)
def test_statistics_are_the_formula(
    golden_loss: Callable[[str], dict[str, Tensor]],
    statistic: ChannelStatistic,
    power: int,
    name: str,
) -> None:
    golden = golden_loss("srkd_formula")
    student, teacher = (
        channel_statistic(golden[who], statistic, power=power) for who in ("student", "teacher")
    )
    torch.testing.assert_close(student, golden[f"{name}_student"], rtol=1e-12, atol=1e-12)
    distance = (student - teacher).abs().mean()
    torch.testing.assert_close(distance, golden[f"{name}_l1"], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("statistic", ["mean", "power_mean", "max", "min"])
def test_gradients_agree_with_finite_differences(statistic: ChannelStatistic) -> None:
    torch.manual_seed(0)
    feature = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: channel_statistic(x, statistic), feature)


def test_each_depth_is_a_term_of_its_own() -> None:
    torch.manual_seed(0)
    objective = create_objective(
        "srkd", student=create("edge", features=24, blocks=4), teacher=create("edvr-xs"), weight=2.0
    )
    assert objective.student_taps == ("body.0", "body.2", "body.3")
    assert objective.teacher_taps == ("reconstruction.0", "reconstruction.2", "reconstruction.3")
    sr, hr = torch.rand(1, 1, 3, 8, 8), torch.rand(1, 1, 3, 8, 8)
    student = {tap: torch.randn(1, 24, 2, 2) for tap in objective.student_taps}
    teacher = {tap: torch.randn(1, 16, 2, 2) for tap in objective.teacher_taps}
    terms = objective(Observation(hr[..., ::4, ::4], hr, sr, None, student, teacher))
    assert list(terms) == ["hr", "low", "middle", "high"]
    expected = (student["body.2"].mean(1) ** 2 - teacher["reconstruction.2"].mean(1) ** 2).abs()
    torch.testing.assert_close(terms["middle"], 2 * expected.mean())
    torch.testing.assert_close(terms["hr"], (sr - hr).abs().mean())


def test_taps_can_be_named() -> None:
    student, teacher = create("edge", features=24, blocks=4), create("edvr-xs")
    objective = Srkd(student=student, teacher=teacher, student_taps="fusion, body.1,body.2")
    assert objective.student_taps == ("fusion", "body.1", "body.2")
    with pytest.raises(ValueError, match=r"'fusion,body\.1' .* 2 .*edge.* 3"):
        Srkd(student=student, teacher=teacher, student_taps="fusion,body.1")
