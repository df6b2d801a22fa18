"""Inputs that are nearly right: a valid JSON document with one place changed."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["\ud800", "../../x", "/etc/passwd", "a\0b", "C:\\x", ""])
)
JSON = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
"""Any JSON value, and what only Python's reader of JSON takes."""


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:  # noqa: ANN401
    """The document with one value replaced, or one key added or removed."""
    document = copy.deepcopy(document)
    holder = draw(st.sampled_from(_holders(document)))
    keys = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
    kind = draw(st.sampled_from(["replace", "remove", "add"])) if keys else "add"
    if kind == "add" and isinstance(holder, dict):
        holder[draw(st.text(max_size=4))] = draw(JSON)
        return document
    if kind == "add":
        holder.append(draw(JSON))
        return document
    key = draw(st.sampled_from(keys))
    if kind == "remove":
        del holder[key]
    else:
        holder[key] = draw(JSON)
    return document


def _holders(value: Any) -> list[Any]:  # noqa: ANN401
    """Every object and list of a document, itself included."""
    if isinstance(value, dict):
        return [value, *(holder for item in value.values() for holder in _holders(item))]
    if isinstance(value, list):
        return [value, *(holder for item in value for holder in _holders(item))]
    return []
