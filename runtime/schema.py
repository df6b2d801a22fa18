"""Frozen dataclasses from JSON and back, refusing what does not fit.

Packages are untrusted input: each value is checked against the annotation of its field before a
dataclass is made of it, and an unknown key is an error rather than a surprise later.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from pathlib import Path
from typing import Any, TypeVar

from vsrc.runtime.errors import SpecError

T = TypeVar("T")


def from_json(kind: type[T], data: object, *, where: str) -> T:
    """Build the dataclass `kind` from parsed JSON.

    Args:
        kind: A dataclass whose fields are str, int, float, bool, Path, Literal, tuples, dicts with
            string keys, optionals, or dataclasses of these.
        data: What `json.loads` returned.
        where: Name of the place, for messages ("student.vsrc/model.json").

    Raises:
        SpecError: A key is missing or unknown, or a value has another type than its field.
    """
    value = _read(kind, data, where)
    assert isinstance(value, kind)
    return value


def to_json(value: object) -> Any:  # noqa: ANN401  JSON has no narrower type
    """Plain dicts, lists and scalars that `json.dumps` takes, from a dataclass of such values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return value


def _read(kind: Any, data: object, where: str) -> object:  # noqa: ANN401  a type expression
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(kind, data, where)
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _read_union(kind, data, where)
    if origin is typing.Literal:
        if data not in typing.get_args(kind):
            raise SpecError(f"{where}: {data!r} is not one of {typing.get_args(kind)}")
        return data
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), data, where)
    if origin is dict:
        if not isinstance(data, dict):
            raise SpecError(f"{where}: expected an object, found {_named(data)}")
        item = typing.get_args(kind)[1]
        return {str(key): _read(item, value, f"{where}.{key}") for key, value in data.items()}
    return _read_scalar(kind, data, where)


def _read_dataclass(kind: Any, data: object, where: str) -> object:  # noqa: ANN401
    if not isinstance(data, dict):
        raise SpecError(f"{where}: expected an object, found {_named(data)}")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := sorted(set(data) - set(fields)):
        raise SpecError(f"{where}: unknown key {unknown[0]!r}; known keys are {', '.join(fields)}")
    values = {}
    for name, field in fields.items():
        if name in data:
            values[name] = _read(hints[name], data[name], f"{where}.{name}")
        elif _is_required(field):
            raise SpecError(f"{where}: {name!r} is missing")
    try:
        return kind(**values)
    except ValueError as error:
        raise SpecError(f"{where}: {error}") from error


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _read_union(kind: Any, data: object, where: str) -> object:  # noqa: ANN401
    options = typing.get_args(kind)
    if data is None and type(None) in options:
        return None
    problem: SpecError | None = None
    for option in options:
        if option is not type(None):
            try:
                return _read(option, data, where)
            except SpecError as error:
                problem = problem or error
    raise problem or SpecError(f"{where}: expected null, found {_named(data)}")


def _read_tuple(items: tuple[Any, ...], data: object, where: str) -> object:
    if not isinstance(data, list):
        raise SpecError(f"{where}: expected a list, found {_named(data)}")
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(data)
    if len(items) != len(data):
        raise SpecError(f"{where}: expected {len(items)} values, found {len(data)}")
    pairs = enumerate(zip(items, data, strict=True))
    return tuple(_read(item, value, f"{where}[{index}]") for index, (item, value) in pairs)


def _read_scalar(kind: Any, data: object, where: str) -> object:  # noqa: ANN401
    # bool is an int in Python; in a file it is not.
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        return float(data)
    if kind is Path and isinstance(data, str):
        return Path(data)
    if isinstance(data, kind) and (kind is bool or not isinstance(data, bool)):
        return data
    raise SpecError(f"{where}: expected {kind.__name__}, found {_named(data)}")


def _named(data: object) -> str:
    return "null" if data is None else f"{type(data).__name__} {data!r:.40}"
