"""Schemas of the reports say what their dataclasses say."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

import vsrc.runtime
from support.places import find_in_checkout
from vsrc.runtime.errors import SpecError
from vsrc.runtime.json_schema import report_schema, schema_rows
from vsrc.runtime.schema import AtLeastOne, Limits, Positive, Sha256, Signed, from_json, to_json


@dataclass(frozen=True)
class Part:
    """A part.

    Attributes:
        share: Of the whole; None
            where unknown.
    """

    share: Annotated[float, Limits(minimum=0, below=1)] | None


@dataclass(frozen=True)
class Example:
    """One of everything; not what follows.

    This is not for the schema.

    Attributes:
        name: What it is called.
        sort: Which of them.
        other: Which, if any.
        is_it: Yes or no.
        count: How many.
        rate: A second.
        delta: Against before.
        sha256: Hash.
        parts: All parts.
        first: The first part.
        notes: What to know.
        values: Number of each.
    """

    name: str
    sort: Literal["a", "b"]
    other: Literal["a", "b"] | None
    is_it: bool | None
    count: AtLeastOne
    rate: Positive | None
    delta: Signed
    sha256: Sha256
    parts: Annotated[tuple[Part, ...], Limits(min_items=1)]
    first: Part | None
    notes: tuple[str, ...] | None = None
    values: dict[str, Signed] = field(default_factory=dict)


SCHEMA = report_schema(Example, name="vsrc-x", report="x", version=3, description="An example.")
HEAD = {"kind": "vsrc-x", "schema_version": 3}
VALIDATOR = Draft202012Validator(SCHEMA)
GOOD = Example(
    "x", "a", None, None, 1, 0.5, -1.0, "0" * 64, (Part(0.0),), Part(None), ("n",), {"v": -1.0}
)
NUMBERS = st.integers(-2, 3) | st.sampled_from([-0.5, 0.0, 0.5, 1.0, 1.5, 1e300])
SCALARS = (
    st.none()
    | st.booleans()
    | NUMBERS
    | st.sampled_from(["", "a", "c", "0" * 64, "0" * 63, "0" * 65])
)
PARTS = st.fixed_dictionaries({}, optional={"share": SCALARS})
VALUES = SCALARS | PARTS | st.lists(SCALARS | PARTS, max_size=2)
VALUES |= st.dictionaries(st.sampled_from(["v", "w"]), SCALARS, max_size=2)


def is_read(data: object) -> bool:
    try:
        from_json(Example, data, where="test")
    except SpecError:
        return False
    return True


@settings(deadline=None)
@given(st.sampled_from(list(SCHEMA["properties"])[2:]), VALUES)
def test_a_schema_refuses_what_reading_refuses(name: str, value: object) -> None:
    data = {**to_json(GOOD), name: value}
    # To JSON Schema 1.0 is an integer; what reads a count wants it written as one.
    if not (isinstance(value, float) and name == "count"):
        assert VALIDATOR.is_valid({**HEAD, **data}) == is_read(data)


def test_the_example_itself_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    data = {**HEAD, **to_json(GOOD)}
    assert VALIDATOR.is_valid(data)
    for key in data:
        assert not VALIDATOR.is_valid({other: data[other] for other in data if other != key})
    assert not VALIDATOR.is_valid({**data, "schema_version": 4})


def test_what_reports_count_is_not_negative() -> None:
    @dataclass(frozen=True)
    class Report:
        """A report.

        Attributes:
            total: How many.
            seconds: How long.
        """

        total: int
        seconds: tuple[float, ...]

    schema = report_schema(Report, name="vsrc-r", report="r", version=1, description="")
    total, seconds = (schema["properties"][name] for name in ("total", "seconds"))
    assert total == {"type": "integer", "minimum": 0, "description": "How many."}
    assert seconds["items"] == {"type": "number", "minimum": 0}


def test_docstrings_become_descriptions_and_rows_of_a_table() -> None:
    assert SCHEMA["$defs"]["part"]["properties"]["share"]["description"] == (
        "Of the whole; null where unknown."
    )
    rows = schema_rows(SCHEMA, elsewhere=frozenset({"values"}))
    assert rows[:3] == [
        "| `kind` | Always `vsrc-x`. |",
        "| `schema_version` | Goes up when a field goes away or changes its meaning. |",
        "| `name` | What it is called. |",
    ]


def test_what_is_committed_is_what_is_generated() -> None:
    find_in_checkout("benchmarks/report_schemas.py")
    command = [sys.executable, "-m", "vsrc.benchmarks.report_schemas", "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_field_of_every_report_is_described() -> None:
    schemas = list(Path(vsrc.runtime.__path__[0]).rglob("assets/*.schema.json"))
    assert len(schemas) == 3
    for schema in schemas:
        assert '"description": null' not in schema.read_text(encoding="utf-8")
