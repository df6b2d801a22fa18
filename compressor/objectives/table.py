"""Every objective by its name."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from torch import nn

from vsrc.compressor.objectives.objective import Objective
from vsrc.compressor.objectives.plain import Plain
from vsrc.compressor.objectives.std import Std
from vsrc.runtime.spec import Argument

OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "std": Std,
    "none": Plain,
}


def names() -> list[str]:
    """Names that `create` takes, in the order of the table."""
    return list(OBJECTIVES)


def create(
    name: str, *, student: nn.Module, teacher: nn.Module | None = None, **options: Argument
) -> Objective:
    """Make an objective for a pair of networks.

    Args:
        name: A name of the table.
        student: The network that is taught.
        teacher: The network that it learns from.
        options: Passed to the objective ("lambda_space" of `std`).

    Raises:
        ValueError: Unknown name or option (with the nearest ones), or a teacher is missing.
    """
    builder = _builder(name)
    known = [p for p in inspect.signature(builder).parameters if p not in ("student", "teacher")]
    for option in options:
        if option not in known:
            near = get_close_matches(option, known, n=3) or known
            raise ValueError(f"{name} has no option {option!r}; did you mean {', '.join(near)}?")
    return builder(**_networks(name, builder, student, teacher), **options)


def describe(name: str, options: Mapping[str, Argument]) -> str:
    """Name and all options, defaults included, for the record of a run."""
    defaults = {
        key: parameter.default
        for key, parameter in inspect.signature(_builder(name)).parameters.items()
        if parameter.default is not parameter.empty
    }
    listed = (f"{key}={value}" for key, value in {**defaults, **options}.items())
    return " ".join([name, *listed])


def _builder(name: str) -> Callable[..., Objective]:
    if name not in OBJECTIVES:
        near = get_close_matches(name, OBJECTIVES, n=3) or list(OBJECTIVES)
        raise ValueError(f"no objective is called {name!r}; did you mean {', '.join(near)}?")
    return OBJECTIVES[name]


def _networks(
    name: str, builder: Callable[..., Objective], student: nn.Module, teacher: nn.Module | None
) -> Mapping[str, nn.Module]:
    """The networks that the objective's constructor wants to look at."""
    wanted = inspect.signature(builder).parameters
    if getattr(builder, "needs_teacher", True) and teacher is None:
        raise ValueError(f"objective {name} needs a teacher: name one with --teacher")
    networks = {"student": student} if "student" in wanted else {}
    if "teacher" in wanted and teacher is not None:
        networks["teacher"] = teacher
    return networks
