"""Read the configuration of a run from a YAML file and `key=value` overrides.

    teacher: edvr-m
    student: edge-s
    steps: 20_000
    learning_rate: 5e-4
    student_arguments: {window: 3}
    objective: std
    objective_options: {lambda_space: 1e-4}

From the command line: `--set steps=500 --set student_arguments.window=3`.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml

from vsrc.compressor.recipe_file import find_recipe
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import SpecError
from vsrc.runtime.schema import from_json

_LONGEST_BYTES = 1 << 20
"""Longest recipe that is read."""

_MAY_BE_CODE = ("student", "teacher", "objective")
"""Fields whose value may be `module:function`, whose import runs code."""

NESTED = ("student_arguments", "teacher_arguments", "objective_options")


def read_recipe(
    path: str | Path | None,
    *,
    settings: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> DistillConfig:
    """Read the configuration of a run; later sources have precedence.

    Args:
        path: YAML file or the name of a shipped recipe; None for none.
        settings: `key=value` pairs with values in YAML syntax.
        options: Fields from command line options.

    Raises:
        ValueError: An unknown key (with the nearest one), or a value of another type.
        FileNotFoundError: No such recipe.
    """
    where = "--set" if path is None else str(path)
    values: dict[str, Any] = {} if path is None else _mapping(find_recipe(path))
    if "allow_code" in values:
        raise ValueError(f"{where}: allow_code cannot be set in a recipe; give --allow-code")
    for setting in settings:
        _place(values, setting)
    values.update(options or {})
    _refuse_unknown(values, where)
    try:
        return from_json(DistillConfig, _to_tuples(values), where=where)
    except SpecError as error:
        raise ValueError(name_as_typed(str(error), where, settings, options or {})) from error


def name_as_typed(
    text: str, where: str, settings: Sequence[str], options: Mapping[str, object]
) -> str:
    """Name a wrong value by the option that was typed, not by the field of the configuration.

    Args:
        text: Message that begins with `where`.
        where: "--set" or the path of a recipe.
        settings: Values of `--set`.
        options: Fields from command line options.
    """
    for name in options:
        option = f"--{name.removesuffix('_ms').replace('_', '-')}"
        text = text.replace(f"{where}: {name}=", f"{option} ", 1)
    return text if settings else text.removeprefix("--set: ")


def find_code(
    path: str | Path | None,
    *,
    settings: Sequence[str] = (),
    options: Mapping[str, object] | None = None,
) -> dict[str, str]:
    """Find the code that a recipe file would run: field -> `module:function`.

    What is typed on the command line is not among it, nor what that replaces.

    Args:
        path: As for `read_recipe`.
        settings: As for `read_recipe`.
        options: As for `read_recipe`.
    """
    if path is None:
        return {}
    typed = {setting.partition("=")[0] for setting in settings} | set(options or {})
    values = _mapping(find_recipe(path))
    found = {}
    for field in _MAY_BE_CODE:
        value = str(values.get(field, ""))
        if field == "objective":
            code = [name for name in value.split("+") if ":" in name]
        else:  # of networks, this prefix is followed by a checkpoint
            code = [value] if ":" in value and not value.startswith("spandrel:") else []
        if code and field not in typed:
            found[field] = " + ".join(code)
    return found


def parse_value(text: str) -> Any:  # noqa: ANN401  YAML has no narrower type
    """Parse a value after `key=`: YAML, with floats such as 1e-4.

    Raises:
        ValueError: It is not plain YAML.
    """
    return _load(text, repr(text))


def _mapping(path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        data = file.read(_LONGEST_BYTES + 1)
    if len(data) > _LONGEST_BYTES:
        raise ValueError(f"{path} has more than {_LONGEST_BYTES >> 20} MB; a recipe has a few kB")
    content = _load(data, str(path))
    if not isinstance(content, dict):
        raise ValueError(f"{path} must hold `key: value` lines, not a {type(content).__name__}")
    return {str(key): value for key, value in content.items()}


def _place(values: dict[str, Any], setting: str) -> None:
    key, equals, text = setting.partition("=")
    if not equals or not key:
        raise ValueError(f"--set {setting!r}: expected key=value")
    outer, dot, inner = key.partition(".")
    value = parse_value(text)
    if not dot:
        values[outer] = value
        return
    if outer not in NESTED:
        raise ValueError(f"--set {key}: only {', '.join(NESTED)} have keys of their own")
    values[outer] = {**(values.get(outer) or {}), inner: value}


def _refuse_unknown(values: Mapping[str, object], where: str) -> None:
    known = [field.name for field in dataclasses.fields(DistillConfig)]
    for key in values:
        if key not in known:
            near = get_close_matches(key, known, n=3) or known
            raise ValueError(f"{where}: no setting {key!r}; did you mean {', '.join(near)}?")


def _to_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert lists to tuples; a single folder stands for a list of one."""
    data = values.get("data", [])
    return {**values, "data": [data] if isinstance(data, str) else list(data)}


def _load(text: str | bytes, where: str) -> Any:  # noqa: ANN401  YAML has no narrower type
    try:
        return yaml.load(text, Loader=_Loader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        words = " ".join(str(error).split())
        raise ValueError(f"{where} is not readable as plain YAML: {words}") from error


class _Loader(yaml.SafeLoader):
    """YAML loader with floats of YAML 1.2; in YAML 1.1 `1e-4` is text, as it lacks a point.

    There are no aliases: a few lines of them can stand for billions of values.
    """

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Compose the next value; refuses aliases."""
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(
                None, None, f"alias *{event.anchor}: write the value again", event.start_mark
            )
        return super().compose_node(parent, index)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$"),
    list("-+0123456789"),
)
