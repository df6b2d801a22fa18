"""Table of all objectives, by name; others are found as `module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches

from torch import nn

from vsrc.compressor.networks.table import import_function
from vsrc.compressor.objectives.csd import Csd
from vsrc.compressor.objectives.fakd import Fakd
from vsrc.compressor.objectives.objective import Objective
from vsrc.compressor.objectives.output import Output
from vsrc.compressor.objectives.perceptual import Perceptual
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
    "perceptual": Perceptual,
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
        name: A name of the table; or `module:function` of your own (installed, or in the working
            directory), a function or class that returns an `Objective` and takes the networks by
            the names `student` and `teacher`, where it has such parameters; or several of these,
            joined by "+".
        student: Network that is trained.
        teacher: Network whose outputs are the targets; None if there is none.
        pictures_kept: Whether stored outputs of a teacher are available instead of a teacher.
        options: Passed to the objective ("lambda_space" of `std`); in a sum prefixed by the name of
            the objective ("std.lambda_space").

    Raises:
        ValueError: Unknown name or option (with the nearest ones), or a teacher is missing.
    """
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
        values = {p.name: p.default for p in parameters if p.default is not p.empty} | chosen
        texts.append(" ".join([part, *(f"{key}={value}" for key, value in values.items())]))
    return " + ".join(texts)


def _create_one(
    name: str,
    student: nn.Module,
    teacher: nn.Module | None,
    pictures_kept: bool,
    options: Mapping[str, Argument],
) -> Objective:
    builder, parameters = _builder(name), inspect.signature(_builder(name)).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    known = list(_options_of(name))
    for option in () if takes_any else options:
        if option not in known:
            near = get_close_matches(option, known, n=3) or known
            raise ValueError(f"{name} has no option {option!r}; did you mean {', '.join(near)}?")
    if isinstance(builder, type) and issubclass(builder, Objective):
        _check_teacher(name, builder, teacher, pictures_kept)  # before it misses one
    networks = {"student": student, "teacher": teacher}
    missing = [
        key
        for key, parameter in _options_of(name).items()
        if parameter.default is parameter.empty and key not in options
    ]
    if missing:
        raise ValueError(
            f"{name} has the parameters {', '.join(missing)}, which have no default: expected "
            "student, teacher and options, and an Objective in return; a loss of two pictures "
            "belongs in the forward of an Objective (vsrc.compressor.objectives.objective)"
        )
    objective = builder(**{k: v for k, v in networks.items() if k in parameters}, **options)
    if not isinstance(objective, Objective):
        raise ValueError(
            f"{name} returns a {type(objective).__name__}; expected an Objective "
            "(vsrc.compressor.objectives.objective)"
        )
    _check_teacher(name, objective, teacher, pictures_kept)
    return objective


def _check_teacher(
    name: str,
    objective: Objective | type[Objective],
    teacher: nn.Module | None,
    pictures_kept: bool,
) -> None:
    if not objective.needs_teacher:
        return
    if pictures_kept and not objective.needs_picture_alone:
        enough = [n for n, b in OBJECTIVES.items() if not b.needs_teacher or b.needs_picture_alone]
        raise ValueError(
            f"objective {name} needs features of its teacher, and the teacher cache holds "
            f"outputs only: expected {', '.join(enough)}; or give --data and --teacher instead"
        )
    if teacher is None and not pictures_kept:
        raise ValueError(f"objective {name} needs a teacher: give one with --teacher")


def _builder(name: str) -> Callable[..., object]:
    if name in OBJECTIVES:
        return OBJECTIVES[name]
    if ":" in name:
        return import_function(name)
    near = get_close_matches(name, OBJECTIVES, n=3) or list(OBJECTIVES)
    raise ValueError(
        f"there is no objective {name!r}; did you mean {', '.join(near)}? One of your own is named "
        "module:function"
    )


def _options_of(name: str) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(_builder(name)).parameters
    return {
        key: parameter
        for key, parameter in parameters.items()
        if key not in ("student", "teacher")
        and parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL)
    }


def _options_by_part(name: str, options: Mapping[str, Argument]) -> dict[str, dict[str, Argument]]:
    """Split the options by the objectives of a sum, without their prefix."""
    parts = name.split("+")
    if len(parts) == 1:
        return {name: dict(options)}
    if len(set(parts)) < len(parts):
        raise ValueError(f"objective {name!r} names a part twice")
    chosen: dict[str, dict[str, Argument]] = {part: {} for part in parts}
    for option, value in options.items():
        # The name of a user's own has dots, too: `losses.edges:sharp.weight`.
        part = next((part for part in parts if option.startswith(f"{part}.")), "")
        key = option.removeprefix(f"{part}.")
        if not part or not key:
            raise ValueError(
                f"option {option!r} of {name}: put the name of its objective before it, as in "
                f"{parts[0]}.{option}"
            )
        chosen[part][key] = value
    return chosen
