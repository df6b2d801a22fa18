from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from vsrc.compressor.features.feature_range import teacher_factors
from vsrc.compressor.features.taps import open_taps, spec_of
from vsrc.compressor.networks import create
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.srkd import Srkd
from vsrc.compressor.objectives.std import Std


def make_network() -> nn.Module:
    torch.manual_seed(0)
    return create("edvr-xs", scale=4)


def in_another_range(network: nn.Module, factor: float) -> nn.Module:
    """The same network, whose features at the last stage are `factor` times as large."""
    other = deepcopy(network)
    stage = other.get_submodule(spec_of(network).stages[-1])
    stage.register_forward_hook(lambda _, __, out: out * factor)
    return other


def pairs_of(network: nn.Module) -> list[tuple[str, str]]:
    stage = spec_of(network).stages[-1]
    return [(stage, stage)]


@pytest.mark.parametrize("factor", [1.0, 3.0, 0.2])
def test_features_of_one_range_stay_as_they_are(factor: float) -> None:
    network = make_network()
    other = in_another_range(network, factor)
    found = teacher_factors(
        "std", student=network, teacher=other, pairs=pairs_of(network), given=0.0
    )
    assert found == (1.0,)


def test_features_of_another_range_are_brought_into_the_students(
    caplog: pytest.LogCaptureFixture,
) -> None:
    network = make_network()
    other = in_another_range(network, 255.0)
    (found,) = teacher_factors(
        "std", student=network, teacher=other, pairs=pairs_of(network), given=0.0
    )
    assert found == pytest.approx(1 / 255, rel=1e-4)
    assert "255 times" in caplog.text
    assert "teacher_scale=1" in caplog.text
    assert network.training


def test_a_teacher_in_0_to_255_gives_the_losses_of_the_same_one_in_0_to_1() -> None:
    network = make_network()
    pictures = {
        "lr": torch.rand(1, 2, 3, 16, 16),
        "hr": torch.rand(1, 2, 3, 64, 64),
        "student_sr": torch.rand(1, 2, 3, 64, 64),
    }
    for kind in (Std, Srkd):
        losses = []
        for teacher in (network, in_another_range(network, 255.0)):
            torch.manual_seed(1)
            taps = ",".join([spec_of(network).stages[-1]] * 3)
            options = (
                {"features": "lr"} if kind is Std else {"student_taps": taps, "teacher_taps": taps}
            )
            objective = kind(student=network, teacher=teacher, **options)  # type: ignore[arg-type]
            with torch.no_grad(), open_taps(teacher, objective.teacher_taps) as features:
                teacher(torch.rand(2, spec_of(teacher).window, 3, 16, 16, generator=seeded()))
            with torch.no_grad(), open_taps(network, objective.student_taps) as ours:
                network(torch.rand(2, spec_of(network).window, 3, 16, 16, generator=seeded(7)))
            losses.append(objective(Observation(**pictures, student=ours, teacher=features)))
        for name, value in losses[0].items():
            torch.testing.assert_close(losses[1][name], value, rtol=1e-3, atol=1e-6)


def test_a_factor_that_is_given_is_taken() -> None:
    network = make_network()
    teacher = in_another_range(network, 255.0)
    given = Std(student=network, teacher=teacher, features="lr", teacher_scale=0.5)
    assert given.teacher_scale == 0.5


def seeded(seed: int = 3) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
