"""Read the configuration of `vsrc shard` from options and `key=value` pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from vsrc.compressor.recipe import name_as_typed, parse_value
from vsrc.compressor.shard_config import ShardConfig
from vsrc.runtime.errors import SpecError
from vsrc.runtime.schema import from_json


def read_shard_config(
    options: Mapping[str, object], *, settings: Sequence[str] = ()
) -> ShardConfig:
    """Read the configuration of a run of `vsrc shard`.

    Args:
        options: Fields from command line options; they have precedence.
        settings: `key=value` pairs with values in YAML syntax.

    Raises:
        ValueError: An unknown key (with the nearest one), or a value of another type.
    """
    values: dict[str, Any] = {}
    known = [field.name for field in dataclasses.fields(ShardConfig)]
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key not in known:
            near = get_close_matches(key, known, n=3) or known
            raise ValueError(
                f"--set {setting!r}: expected key=value with a key like {', '.join(near)}"
            )
        values[key] = parse_value(text)
    values |= {key: _plain(value) for key, value in options.items()}
    arguments = values.get("teacher_arguments", ())
    values["teacher_arguments"] = [
        parse_value(each) if isinstance(each, str) else each for each in arguments
    ]
    try:
        return from_json(ShardConfig, values, where="--set")
    except SpecError as error:
        raise ValueError(name_as_typed(str(error), "--set", settings, options)) from error


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return value if isinstance(value, (bool, int, float)) else str(value)
