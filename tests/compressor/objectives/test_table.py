from __future__ import annotations

from typing import Any

import pytest
import torch

from vsrc.compressor.networks import create
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.std import Std
from vsrc.compressor.objectives.sum import Sum
from vsrc.compressor.objectives.table import describe_objective


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
    student, teacher, seen = create("edge-s"), create("edvr-xs"), observation()
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
    objective = create_objective("std+output", student=create("edge-s"), teacher=create("edvr-xs"))
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
        create_objective(name, student=create("edge-s"), teacher=create("edvr-xs"), **options)
