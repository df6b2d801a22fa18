"""Whatever is read, `from_json` gives the dataclass or one `SpecError`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.malformed import JSON, changed
from vsrc.runtime.errors import SpecError
from vsrc.runtime.schema import AtLeastOne, Positive, Sha256, from_json, to_json


@dataclass(frozen=True)
class Inner:
    ratio: Positive
    side: AtLeastOne = 1


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    place: Path
    sha256: Sha256
    pair: tuple[int, int]
    inner: tuple[Inner, ...] = ()
    named: dict[str, float | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if 1 / self.pair[0] > self.pair[1]:
            raise ValueError("pair is out of order")


VALID = to_json(Outer("a", Path("x"), "0" * 64, (1, 2), (Inner(0.5),), {"x": None, "y": 1.0}))


def test_what_was_written_is_read() -> None:
    assert to_json(from_json(Outer, VALID, where="file")) == VALID


@given(data=JSON | changed(VALID))
def test_anything_else_is_one_error(data: object) -> None:
    with suppress(SpecError):
        assert isinstance(from_json(Outer, data, where="file"), Outer)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"inner": [{"ratio": 10**400}]}, r"file\.inner\[0\]\.ratio"),
        ({"inner": [{"ratio": float("nan")}]}, r"file\.inner\[0\]\.ratio"),
        ({"pair": [0, 2]}, "file"),
        ({"kind": []}, r"file\.kind"),
        ({"sha256": "0" * 63}, r"file\.sha256"),
    ],
)
def test_the_error_names_the_place(change: dict[str, object], place: str) -> None:
    with pytest.raises(SpecError, match=f"^{place}: "):
        from_json(Outer, {**VALID, **change}, where="file")


@given(st.text(max_size=4))
def test_an_unknown_key_is_refused(key: str) -> None:
    with pytest.raises(SpecError, match="unknown key"):
        from_json(Outer, {**VALID, f"{key}?": 1}, where="file")
