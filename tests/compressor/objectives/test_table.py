from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.objectives.objective import Objective, Observation
from vsrc.compressor.objectives.std import Std
from vsrc.compressor.objectives.sum import Sum
from vsrc.compressor.objectives.table import describe_objective, names
from vsrc.compressor.training.config import OBJECTIVE_NAMES


def observation() -> Observation:
    torch.manual_seed(0)
    return Observation(
        lr=torch.rand(1, 3, 3, 4, 4),
        hr=torch.rand(1, 3, 3, 16, 16),
        student_sr=torch.rand(1, 3, 3, 16, 16),
        teacher_sr=torch.rand(1, 3, 3, 16, 16),
        student={"body.3": torch.randn(3, 24, 4, 4)},
        teacher={"hr_features": torch.randn(3, 16, 16, 16)},
    )


def test_a_sum_has_all_terms_and_ground_truth_once() -> None:
    student, teacher, seen = create("edge", features=24, blocks=4), create("edvr-xs"), observation()
    options: dict[str, Any] = {"std.lambda_space": 2.0, "output.weight": 0.5}
    objective = create_objective(
        "std+output",
        student=student,
        teacher=teacher,
        **options,
    )
    assert isinstance(objective, Sum)
    assert objective.needs_time
    assert (objective.student_taps, objective.teacher_taps) == (("body.3",), ("hr_features",))
    terms = objective(seen)
    assert list(terms) == ["hr", "std/space", "std/time", "output/output"]
    expected = 0.5 * (seen.student_sr - seen.teacher_sr).abs().mean()  # type: ignore[operator]
    torch.testing.assert_close(terms["output/output"], expected)
    std = objective.parts["std"]
    assert isinstance(std, Std)
    assert std.lambda_space == 2.0
    torch.testing.assert_close(terms["std/space"], std(seen)["space"])


def test_the_freezing_rule_works_inside_a_sum() -> None:
    objective = create_objective(
        "std+output", student=create("edge", features=24, blocks=4), teacher=create("edvr-xs")
    )
    assert isinstance(objective, Sum)
    objective.before_update({"hr": 1.0, "std/time": 0.0, "std/space": 1.0, "output/output": 1.0})
    assert bool(objective.parts["std"].lstm_frozen)


def test_the_record_of_an_objective_has_its_defaults() -> None:
    text = describe_objective("output+none", {"output.weight": 0.5})
    assert text == "output weight=0.5 truth=1.0 epsilon=0.001 + none epsilon=0.001"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("std+outptu", {}, r"'outptu'.* output\?"),
        ("std+std", {}, r"'std\+std'"),
        (
            "std+output",
            {"weight": 1.0},
            r"'weight' of std\+output: .*std\.weight",
        ),
        ("std+output", {"output.wait": 1.0}, r"output .*'wait'.* weight\?"),
    ],
)
def test_mistakes_in_a_sum_are_refused(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create_objective(
            name,
            student=create("edge", features=24, blocks=4),
            teacher=create("edvr-xs"),
            **options,
        )


class Edges(Objective):
    """A user's own: compares differences between columns."""

    needs_teacher = False

    def __init__(self, *, weight: float = 2.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        difference = (seen.student_sr - seen.hr).diff(dim=-1).abs().mean()
        return {"edges": self.weight * difference}


def edges_of(student: nn.Module, **options: float) -> Edges:
    assert isinstance(student, nn.Module)
    return Edges(**options)


def no_objective() -> nn.Module:
    return nn.ReLU()


def loss_of_pictures(sr: torch.Tensor, hr: torch.Tensor) -> torch.Tensor:
    return (sr - hr).abs().mean()


def wants_features() -> Objective:
    return Objective()


@pytest.fixture
def mine(monkeypatch: pytest.MonkeyPatch) -> str:
    """A module with dots in its name, found as one of a user's package."""
    monkeypatch.setitem(sys.modules, "losses.mine", sys.modules[__name__])
    monkeypatch.setitem(sys.modules, "losses", ModuleType("losses"))
    return "losses.mine"


@pytest.mark.parametrize("function", ["Edges", "edges_of"])
def test_an_objective_may_come_from_outside(mine: str, function: str) -> None:
    name, student, seen = f"{mine}:{function}", create("edge", features=24, blocks=4), observation()
    expected = np.abs(np.diff((seen.student_sr - seen.hr).numpy(), axis=-1)).mean()
    alone = create_objective(name, student=student, weight=3.0)
    assert alone(seen)["edges"].item() == pytest.approx(3 * expected, rel=1e-5)
    options: dict[str, Any] = {f"{name}.weight": 0.5, "output.weight": 1.0}
    objective = create_objective(
        f"output+{name}", student=student, teacher=create("edvr-xs"), **options
    )
    terms = objective(seen)
    assert list(terms) == ["hr", "output/output", f"{name}/edges"]
    assert terms[f"{name}/edges"].item() == pytest.approx(0.5 * expected, rel=1e-5)
    objective.before_update(dict.fromkeys(terms, 1.0))
    assert describe_objective(f"{mine}:Edges", {}) == f"{mine}:Edges weight=2.0"


@pytest.mark.parametrize(
    ("function", "options", "message"),
    [
        ("Edgse", {}, "'losses.mine:Edgse' does not exist; did you mean Edges"),
        ("Edges", {"wait": 1.0}, "has no option 'wait'; did you mean weight"),
        ("no_objective", {}, "returns a ReLU; expected an Objective"),
        ("loss_of_pictures", {}, "has the parameters sr, hr, which have no default"),
        ("wants_features", {}, "needs a teacher: give one with --teacher"),
    ],
)
def test_mistakes_outside_are_refused(
    mine: str, function: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        create_objective(
            f"{mine}:{function}", student=create("edge", features=24, blocks=4), **options
        )


def test_pictures_of_a_teacher_do_not_serve_every_objective_outside(mine: str) -> None:
    with pytest.raises(ValueError, match="needs features of its teacher"):
        create_objective(
            f"{mine}:wants_features",
            student=create("edge", features=24, blocks=4),
            pictures_kept=True,
        )
    create_objective(
        f"{mine}:Edges", student=create("edge", features=24, blocks=4), pictures_kept=True
    )


def test_help_lists_the_objectives_without_loading_them() -> None:
    assert list(OBJECTIVE_NAMES) == names()
