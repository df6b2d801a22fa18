from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.func import functional_call

from vsrc.compressor.features.tap_shapes import TapShape
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.objectives.adapter import SubPixelAdapter
from vsrc.compressor.objectives.conv_lstm import ConvLstm
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.std import (
    MapKind,
    Std,
    attention_map,
    space_distance,
    time_distance,
)


@pytest.fixture(scope="module")
def golden(reference: Path) -> dict[str, Tensor]:
    with np.load(reference / "golden" / "loss_std_formula.npz") as arrays:
        return {name: torch.from_numpy(np.asarray(arrays[name])) for name in arrays}


def assert_same(found: Tensor, expected: Tensor) -> None:
    # float64 on both sides: only the order of sums differs.
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("kind", "name"), [("sum", "m_sum"), ("sum2", "m2_sum"), ("max2", "m2_max")]
)
def test_maps_and_space_distance_are_the_formula(
    golden: dict[str, Tensor], kind: MapKind, name: str
) -> None:
    student, teacher = (
        attention_map(golden[f"feat_{who}"], kind) for who in ("student", "teacher")
    )
    assert_same(student, golden[f"{name}_student"])
    assert_same(teacher, golden[f"{name}_teacher"])
    distance = space_distance(student[None], teacher[None])
    assert_same(distance, golden[f"{name}_sd_l2norm"])


def golden_lstm(golden: dict[str, Tensor], name: str, *, features: int) -> ConvLstm:
    lstm = ConvLstm(features, hidden=3).double()
    lstm.load_state_dict(
        {"conv.weight": golden[f"{name}_weight"], "conv.bias": golden[f"{name}_bias"]}
    )
    return lstm


def test_time_distance_is_the_formula(golden: dict[str, Tensor]) -> None:
    lstm = golden_lstm(golden, "lstm1", features=1)
    student, teacher = (golden[f"m2_sum_{who}"][None] for who in ("student", "teacher"))
    cell = lstm(student.unsqueeze(2))
    assert_same(cell[0], golden["lstm1_cell_student"])
    distance = time_distance(lstm, student.unsqueeze(2), teacher.unsqueeze(2))
    assert_same(distance, golden["lstm1_td_l2norm"])


def test_lstm_of_whole_features_is_the_formula(golden: dict[str, Tensor]) -> None:
    lstm = golden_lstm(golden, "lstmF", features=6)
    student, teacher = (golden[f"feat_{who}"][None] for who in ("student", "teacher"))
    cell = lstm(student)
    assert_same(cell[0], golden["lstmF_cell_student"])
    assert_same(time_distance(lstm, student, teacher), golden["lstmF_td_l2norm"])


@pytest.mark.parametrize("kind", ["sum", "sum2", "max2"])
def test_gradients_agree_with_finite_differences(kind: MapKind) -> None:
    torch.manual_seed(0)
    student = torch.randn(3, 4, 4, 5, dtype=torch.float64, requires_grad=True)
    teacher = attention_map(torch.randn(3, 4, 4, 5, dtype=torch.float64), kind)[None]
    lstm = ConvLstm(1, hidden=2).double()

    def distances(feature: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
        maps = attention_map(feature, kind)[None]

        def cells(frames: Tensor) -> Tensor:
            cell: Tensor = functional_call(lstm, {"conv.weight": weight}, (frames,))
            return cell

        fed = (maps.unsqueeze(2), teacher.unsqueeze(2))
        return space_distance(maps, teacher), time_distance(cells, *fed)

    weight = lstm.conv.weight.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(distances, (student, weight))


def test_equal_networks_have_no_distance_and_a_finite_gradient() -> None:
    maps = torch.rand(2, 3, 4, 4, requires_grad=True)
    space = space_distance(maps, maps.detach())
    fed = maps.unsqueeze(2)
    time = time_distance(ConvLstm(1, hidden=2), fed, fed.detach())
    torch.autograd.backward((space, time))
    assert space == 0
    assert time == 0
    assert maps.grad is not None
    assert maps.grad.isfinite().all()


def test_adapter_reduced_before_the_shuffle_is_the_map_of_the_shuffled_feature() -> None:
    torch.manual_seed(0)
    adapter = SubPixelAdapter(TapShape(5, Fraction(1)), TapShape(7, Fraction(4)))
    feature = torch.randn(2, 5, 3, 4)
    slow = attention_map(adapter(feature), "sum2")
    small = attention_map(adapter.before_shuffle(feature), "sum2")
    fast = torch.pixel_shuffle(small, 4).squeeze(1)
    assert slow.shape == (2, 12, 16)
    torch.testing.assert_close(fast, slow)


def test_a_student_with_the_same_feature_needs_no_adapter() -> None:
    twin = create_objective("std", student=create("edvr-xs"), teacher=create("edvr-xs"))
    assert isinstance(twin, Std)
    assert twin.adapter is None
    assert twin.student_taps == ("hr_features",)


def observation(frames: int = 3) -> Observation:
    return Observation(
        lr=torch.rand(2, frames, 3, 4, 4),
        hr=torch.rand(2, frames, 3, 16, 16),
        student_sr=torch.rand(2, frames, 3, 16, 16),
        student={"body.3": torch.randn(2 * frames, 24, 4, 4)},
        teacher={"hr_features": torch.randn(2 * frames, 16, 16, 16)},
    )


@pytest.mark.parametrize("name", ["edge-m", "imdn"])
def test_networks_without_hr_features_can_be_compared_at_lr_size(name: str) -> None:
    student, teacher = create("edge", features=24, blocks=4), create(name)
    objective = create_objective("std", student=student, teacher=teacher, features="lr")
    assert isinstance(objective, Std)
    (ours,), (theirs,) = objective.student_taps, objective.teacher_taps
    assert (ours, theirs) == ("body.3", spec_of(teacher).stages[-1])
    assert objective.lstm is not None
    width = {"edge-m": 32, "imdn": 64}[name]
    assert objective.lstm.conv.in_channels == width + 1
    seen = Observation(
        lr=torch.rand(1, 2, 3, 4, 4),
        hr=torch.rand(1, 2, 3, 16, 16),
        student_sr=torch.rand(1, 2, 3, 16, 16),
        student={ours: torch.randn(2, 24, 4, 4, requires_grad=True)},
        teacher={theirs: torch.randn(2, width, 4, 4)},
    )
    torch.autograd.backward(sum(objective(seen).values()))
    assert seen.student[ours].grad is not None
    assert all(p.grad is not None for p in objective.parameters())


def test_terms_are_weighted() -> None:
    torch.manual_seed(0)
    seen, student, teacher = observation(), create("edge", features=24, blocks=4), create("edvr-xs")
    plain = Std(student=student, teacher=teacher, lambda_space=1.0, lambda_time=1.0)
    heavy = Std(student=student, teacher=teacher, lambda_space=3.0, lambda_time=0.5)
    heavy.load_state_dict(plain.state_dict())
    light, weighted = plain(seen), heavy(seen)
    assert list(light) == ["hr", "space", "time"]
    torch.testing.assert_close(weighted["space"], 3 * light["space"])
    torch.testing.assert_close(weighted["time"], 0.5 * light["time"])
    torch.testing.assert_close(weighted["hr"], light["hr"])


def test_lstm_is_frozen_for_good_once_the_time_loss_is_next_to_nothing() -> None:
    torch.manual_seed(0)
    objective = create_objective(
        "std",
        student=create("edge", features=24, blocks=4),
        teacher=create("edvr-xs"),
        lambda_time=0.1,
    )
    assert isinstance(objective, Std)
    # Adam's momentum would go on moving parameters whose gradient is zero rather than absent.
    optimizer = torch.optim.Adam(objective.parameters(), lr=0.1)

    def update(time: float) -> bool:
        assert objective.lstm is not None
        before = objective.lstm.conv.weight.detach().clone()
        torch.autograd.backward(objective(observation())["time"])
        objective.before_update({"time": time})
        optimizer.step()
        optimizer.zero_grad()
        return not torch.equal(before, objective.lstm.conv.weight)

    assert update(time=0.1 * 2e-8)
    assert not update(time=0.1 * 0.5e-8)
    assert not update(time=1.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lamda_space": 1.0}, "std .*'lamda_space'.* lambda_space"),
        ({"map_kind": "mean"}, "map_kind='mean' .*sum, sum2, max2"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_objective(
            "std",
            student=create("edge", features=24, blocks=4),
            teacher=create("edvr-xs"),
            **options,
        )


def test_a_teacher_without_hr_features_is_refused() -> None:
    with pytest.raises(
        ValueError,
        match=r"edge-m .*features=lr",
    ):
        create_objective(
            "std", student=create("edge", features=24, blocks=4), teacher=create("edge-m")
        )


def test_an_unknown_name_names_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'stdd'.* std\?"):
        create_objective("stdd", student=create("edge", features=24, blocks=4))
