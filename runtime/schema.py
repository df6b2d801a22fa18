"""Convert frozen dataclasses to JSON and back, with validation.

Packages are untrusted input: each value is checked against the annotation of its field before the
dataclass is created, and unknown keys are errors. Limits beyond the type are in the annotation,
too: `cores: Annotated[int, Limits(minimum=1)]`. `json_schema` converts the same annotations to JSON
Schema.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

from vsrc.runtime.errors import SpecError

T = TypeVar("T")


@dataclass(frozen=True)
class Limits:
    """Limits of a value of an annotated type; None for no limit.

    Attributes:
        minimum: Inclusive lower bound of a number.
        above: Exclusive lower bound of a number.
        below: Exclusive upper bound of a number.
        pattern: Regular expression that a whole string must match.
        min_items: Least length of a list.
    """

    minimum: float | None = None
    above: float | None = None
    below: float | None = None
    pattern: str | None = None
    min_items: int | None = None

    def problem(self, value: Any) -> str | None:  # noqa: ANN401  of the annotated type
        """Describe how a value violates the limits; None if it does not."""
        if self.minimum is not None and not value >= self.minimum:
            return f"must be at least {self.minimum:g}"
        if self.above is not None and not value > self.above:
            return f"must be above {self.above:g}"
        if self.below is not None and not value < self.below:
            return f"must be below {self.below:g}"
        if self.pattern is not None and not re.fullmatch(self.pattern, value):
            return f"must match {self.pattern}"
        if self.min_items is not None and len(value) < self.min_items:
            return f"must have at least {self.min_items} items"
        return None


Signed = Annotated[float, Limits()]
"""A number of a report that may be negative; all others are at least 0."""
Positive = Annotated[float, Limits(above=0)]
AtLeastOne = Annotated[int, Limits(minimum=1)]
Sha256 = Annotated[str, Limits(pattern="[0-9a-f]{64}")]
UtcTime = Annotated[str, Limits(pattern=r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\+00:00")]
"""ISO 8601, whole seconds."""


def from_json(kind: type[T], data: object, *, where: str) -> T:
    """Build the dataclass `kind` from parsed JSON.

    Args:
        kind: A dataclass whose fields are str, int, float, bool, Path, Literal, tuples, dicts with
            string keys, optionals, or dataclasses of these.
        data: What `json.loads` returned.
        where: Name of the source, for messages ("student.vsrc/model.json").

    Raises:
        SpecError: A key is missing or unknown, or the type of a value is wrong.
    """
    value = _read(kind, data, where)
    assert isinstance(value, kind)
    return value


def to_json(value: object) -> Any:  # noqa: ANN401  JSON has no narrower type
    """Convert a dataclass to plain dicts, lists and scalars for `json.dumps`."""
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
    if origin is Annotated:
        return _read_limited(kind, data, where)
    if origin in (typing.Union, types.UnionType):
        return _read_union(kind, data, where)
    if origin is typing.Literal:
        if data not in typing.get_args(kind):
            raise SpecError(f"{where}: {data!r} is not one of {typing.get_args(kind)}")
        return data
    if origin is tuple:
        return _read_tuple(typing.get_args(kind), data, where)
    if origin is dict:
        return _read_dict(typing.get_args(kind)[1], data, where)
    return _read_scalar(kind, data, where)


def _read_limited(kind: Any, data: object, where: str) -> object:  # noqa: ANN401
    value = _read(kind.__origin__, data, where)
    for limits in kind.__metadata__:
        if value is not None and (problem := limits.problem(value)):
            raise SpecError(f"{where}: {problem}, found {_describe(data)}")
    return value


def _read_dataclass(kind: Any, data: object, where: str) -> object:  # noqa: ANN401
    if not isinstance(data, dict):
        raise SpecError(f"{where}: expected an object, found {_describe(data)}")
    hints = typing.get_type_hints(kind, include_extras=True)
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
    except (ValueError, ArithmeticError) as error:
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
    raise problem or SpecError(f"{where}: expected null, found {_describe(data)}")


def _read_tuple(items: tuple[Any, ...], data: object, where: str) -> object:
    if not isinstance(data, list):
        raise SpecError(f"{where}: expected a list, found {_describe(data)}")
    if len(items) == 2 and items[1] is Ellipsis:
        items = (items[0],) * len(data)
    if len(items) != len(data):
        raise SpecError(f"{where}: expected {len(items)} values, found {len(data)}")
    pairs = enumerate(zip(items, data, strict=True))
    return tuple(_read(item, value, f"{where}[{index}]") for index, (item, value) in pairs)


def _read_dict(item: Any, data: object, where: str) -> object:  # noqa: ANN401
    if not isinstance(data, dict):
        raise SpecError(f"{where}: expected an object, found {_describe(data)}")
    return {str(key): _read(item, value, f"{where}.{key}") for key, value in data.items()}


def _read_scalar(kind: Any, data: object, where: str) -> object:  # noqa: ANN401
    # bool is a subclass of int in Python, but not a number in JSON.
    if kind is float and isinstance(data, (int, float)) and not isinstance(data, bool):
        try:
            return float(data)
        except OverflowError as error:
            raise SpecError(f"{where}: the integer is too large for a float") from error
    if kind is Path and isinstance(data, str):
        return Path(data)
    if isinstance(data, kind) and (kind is bool or not isinstance(data, bool)):
        return data
    raise SpecError(f"{where}: expected {kind.__name__}, found {_describe(data)}")


def _describe(data: object) -> str:
    return "null" if data is None else f"{type(data).__name__} {data!r:.40}"
