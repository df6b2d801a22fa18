"""Derive the JSON Schemas of the reports from their dataclasses.

Types and limits come from the annotations, descriptions from the `Attributes:` of the docstrings,
so a field is described once. Numbers are at least 0 unless their annotation says otherwise, since
reports contain counts and measurements. Readers ignore unknown keys, so that fields may be added; a
dataclass that occurs more than once is written once, under `$defs`.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections import Counter
from collections.abc import Iterator
from typing import Annotated, Any, Literal

from vsrc.runtime.schema import Limits

Schema = dict[str, Any]

_SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean"}


def report_schema(kind: type, *, name: str, report: str, version: int, description: str) -> Schema:
    """Return the schema of a report: `kind`, `schema_version` and the fields of a dataclass.

    Args:
        kind: Dataclass of the report.
        name: Value of the report's `kind`.
        report: Name of the report in the schema's title and `$id` ("bench-report").
        version: Value of its `schema_version`.
        description: Description of the report.
    """
    shared = [each for each, count in Counter(_dataclasses(kind)).items() if count > 1]
    writer = _Writer({each: each.__name__.lower() for each in shared})
    fields = writer.dataclass(kind)
    head: Schema = {
        "kind": {"const": name},
        "schema_version": {
            "const": version,
            "description": "Goes up when a field goes away or changes its meaning.",
        },
    }
    schema: Schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:vsrc:{report}:{version}",
        "title": f"vsrc {report.replace('-', ' ')}",
        "type": "object",
        "description": description,
        "required": [*head, *fields["required"]],
        "properties": {**head, **fields["properties"]},
    }
    definitions = {key: writer.dataclass(each) for each, key in writer.shared.items()}
    return {**schema, "$defs": definitions} if definitions else schema


def schema_rows(schema: Schema, *, elsewhere: frozenset[str] = frozenset()) -> list[str]:
    """Return the rows of a Markdown table with path and description of each field.

    Args:
        schema: Schema of a report.
        elsewhere: Fields whose objects are described elsewhere; a definition is described where it
            is first required, not where it may be null.
    """
    rows = []
    for path, entry in _leaves(schema, schema.get("$defs", {}), "", elsewhere):
        meaning = entry.get("description") or f"Always `{entry['const']}`."
        rows.append(f"| `{path}` | {meaning} |")
    return rows


class _Writer:
    """Converts types to schemas.

    Args:
        shared: Dataclass -> key in `$defs`.
    """

    def __init__(self, shared: dict[type, str]) -> None:
        self.shared = shared

    def dataclass(self, kind: type) -> Schema:
        """Return the full schema of a dataclass."""
        summary, meanings = described(kind)
        hints = typing.get_type_hints(kind, include_extras=True)
        properties = {}
        for field in dataclasses.fields(kind):
            entry = self.type(hints[field.name])
            own = entry.pop("description", None)
            entry["description"] = meanings.get(field.name) or own
            properties[field.name] = entry
        return {
            "type": "object",
            "description": summary,
            "required": list(properties),
            "properties": properties,
        }

    def type(self, hint: Any, limits: Limits | None = None) -> Schema:  # noqa: ANN401
        """Return the schema of a type expression."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin is Annotated:
            return self.type(hint.__origin__, hint.__metadata__[0])
        if origin in (typing.Union, types.UnionType):
            (inner,) = (each for each in arguments if each is not type(None))
            return _or_null(self.type(inner, limits))
        if dataclasses.is_dataclass(hint):
            assert isinstance(hint, type)
            key = self.shared.get(hint)
            return {"$ref": f"#/$defs/{key}"} if key else self.dataclass(hint)
        if origin is Literal:
            return {"type": "string", "enum": list(arguments)}
        if origin is tuple and arguments[1:] == (Ellipsis,):
            return {"type": "array", **_limits(limits), "items": self.type(arguments[0])}
        if origin is dict:
            return {"type": "object", "additionalProperties": self.type(arguments[1])}
        if limits is None and hint in (int, float):
            limits = Limits(minimum=0)
        return {"type": _SCALARS[hint], **_limits(limits)}


def described(kind: type) -> tuple[str, dict[str, str]]:
    """Return the first paragraph of a dataclass's docstring, and attribute -> description."""
    text = re.sub(r"\bNone\b", "null", inspect.cleandoc(kind.__doc__ or ""))
    head, _, attributes = text.partition("Attributes:\n")
    summary = " ".join(head.split("\n\n")[0].split())
    entries = re.findall(r"^    (\w+): (.+(?:\n     .*)*)", attributes, flags=re.MULTILINE)
    return summary, {name: " ".join(meaning.split()) for name, meaning in entries}


def _limits(limits: Limits | None) -> Schema:
    if limits is None:
        return {}
    found = {
        "minimum": limits.minimum,
        "exclusiveMinimum": limits.above,
        "exclusiveMaximum": limits.below,
        "pattern": None if limits.pattern is None else f"^{limits.pattern}$",
        "minItems": limits.min_items,
    }
    return {key: value for key, value in found.items() if value is not None}


def _or_null(schema: Schema) -> Schema:
    if "$ref" in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    if "enum" in schema:
        schema = {**schema, "enum": [*schema["enum"], None]}
    return {**schema, "type": [schema["type"], "null"]}


def _dataclasses(kind: Any) -> Iterator[type]:  # noqa: ANN401  a type expression
    """Yield each dataclass in a type expression, as often as it occurs."""
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        for argument in typing.get_args(kind):
            yield from _dataclasses(argument)
        return
    yield kind
    for hint in typing.get_type_hints(kind, include_extras=True).values():
        yield from _dataclasses(hint)


def _leaves(
    entry: Schema, definitions: Schema, path: str, elsewhere: frozenset[str]
) -> Iterator[tuple[str, Schema]]:
    """Yield path and schema of each leaf field."""
    reference = entry.get("$ref", "").rpartition("/")[2]
    inner = entry.get("items") or definitions.get(reference) or entry
    if "properties" not in inner or path.rpartition(".")[2] in elsewhere:
        yield path, entry
        return
    dot = path and (f"{path}[]." if "items" in entry else f"{path}.")
    for key, value in inner["properties"].items():
        yield from _leaves(value, definitions, f"{dot}{key}", elsewhere)
