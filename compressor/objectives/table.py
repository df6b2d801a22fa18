"""Table of all objectives, by name."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from difflib import get_close_matches

from torch import nn

from vsrc.compressor.objectives.csd import Csd
from vsrc.compressor.objectives.fakd import Fakd
from vsrc.compressor.objectives.objective import Objective
from vsrc.compressor.objectives.output import Output
from vsrc.compressor.objectives.pisr import Pisr, PisrTeacher
from vsrc.compressor.objectives.plain import Plain
from vsrc.compressor.objectives.srkd import Srkd
from vsrc.compressor.objectives.std import Std
from vsrc.compressor.objectives.sum import Sum
from vsrc.runtime.spec import Argument

OBJECTIVES: dict[str, type[Objective]] = {
    "std": Std,
    "srkd": Srkd,
    "fakd": Fakd,
    "pisr": Pisr,
    "pisr-teacher": PisrTeacher,
    "csd": Csd,
    "output": Output,
    "none": Plain,
}


def names() -> list[str]:
    """Names that `create` accepts, in the order of the table."""
    return list(OBJECTIVES)


def create(
    name: str,
    *,
    student: nn.Module,
    teacher: nn.Module | None = None,
    pictures_kept: bool = False,
    **options: Argument,
) -> Objective:
    """Build an objective for a pair of networks.

    Args:
        name: A name of the table, or several joined by "+".
        student: Network that is trained.
        teacher: Network whose outputs are the targets; None if there is none.
        pictures_kept: Whether stored outputs of a teacher are available instead of a teacher.
        options: Passed to the objective ("lambda_space" of `std`); in a sum prefixed by the name of
            the objective ("std.lambda_space").

    Raises:
        ValueError: Unknown name or option (with the nearest ones), or a teacher is missing.
    """
    if pictures_kept:
        _check_pictures_are_enough(name)
    parts = {
        part: _create_one(part, student, teacher, pictures_kept, chosen)
        for part, chosen in _options_by_part(name, options).items()
    }
    return Sum(parts) if len(parts) > 1 else parts[name]


def describe_objective(name: str, options: Mapping[str, Argument]) -> str:
    """Describe an objective by name and all options, defaults included, for the run's record."""
    texts = []
    for part, chosen in _options_by_part(name, options).items():
        parameters = _options_of(part).values()
        values = {p.name: p.default for p in parameters} | chosen
        texts.append(" ".join([part, *(f"{key}={value}" for key, value in values.items())]))
    return " + ".join(texts)


def _check_pictures_are_enough(name: str) -> None:
    for part in name.split("+"):
        builder = _builder(part)
        if builder.needs_teacher and not builder.needs_picture_alone:
            enough = [
                n for n, b in OBJECTIVES.items() if not b.needs_teacher or b.needs_picture_alone
            ]
            raise ValueError(
                f"objective {part} needs features of its teacher, and the teacher cache holds "
                f"outputs only: expected {', '.join(enough)}; or give --data and --teacher instead"
            )


def _create_one(
    name: str,
    student: nn.Module,
    teacher: nn.Module | None,
    pictures_kept: bool,
    options: Mapping[str, Argument],
) -> Objective:
    builder, known = _builder(name), list(_options_of(name))
    for option in options:
        if option not in known:
            near = get_close_matches(option, known, n=3) or known
            raise ValueError(f"{name} has no option {option!r}; did you mean {', '.join(near)}?")
    wanted = inspect.signature(builder).parameters
    if builder.needs_teacher and teacher is None and not pictures_kept:
        raise ValueError(f"objective {name} needs a teacher: give one with --teacher")
    networks = {"student": student, "teacher": teacher}
    return builder(**{k: v for k, v in networks.items() if k in wanted}, **options)


def _builder(name: str) -> type[Objective]:
    if name not in OBJECTIVES:
        near = get_close_matches(name, OBJECTIVES, n=3) or list(OBJECTIVES)
        raise ValueError(f"there is no objective {name!r}; did you mean {', '.join(near)}?")
    return OBJECTIVES[name]


def _options_of(name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(_builder(name)).parameters
    return {key: p for key, p in parameters.items() if key not in ("student", "teacher")}


def _options_by_part(name: str, options: Mapping[str, Argument]) -> dict[str, dict[str, Argument]]:
    """Split the options by the objectives of a sum, without their prefix."""
    parts = name.split("+")
    if len(parts) == 1:
        return {name: dict(options)}
    if len(set(parts)) < len(parts):
        raise ValueError(f"objective {name!r} names a part twice")
    chosen: dict[str, dict[str, Argument]] = {part: {} for part in parts}
    for option, value in options.items():
        part, _, key = option.partition(".")
        if part not in chosen or not key:
            raise ValueError(
                f"option {option!r} of {name}: put the name of its objective before it, as in "
                f"{parts[0]}.{option}"
            )
        chosen[part][key] = value
    return chosen
