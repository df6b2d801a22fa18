"""Make foreign text safe to print: file names, tags, provenance, names in graphs.

A terminal obeys control characters, and a line break in a name would look like a line of vsrc's
own. So they are shown as `ls` and git show them, by escapes. JSON keeps the exact text.
"""

from __future__ import annotations

import dataclasses
import unicodedata
from pathlib import Path
from typing import Any, TypeVar, cast

T = TypeVar("T")

_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\a": "\\a", "\f": "\\f", "\v": "\\v"}
_UNSAFE = ("Cc", "Cs", "Zl", "Zp")
"""Unicode categories: control characters, surrogates (bytes that are not UTF-8), separators."""

_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Marks that change the order in which a line is shown."""


def printable(text: object) -> str:
    """Return a text for one line of output, with escapes for what is not to be printed."""
    words = str(text)
    return words if words.isprintable() else "".join(map(_escaped, words))


def printable_lines(text: object) -> str:
    """Return a text of several lines, each as by `printable`."""
    return "\n".join(map(printable, str(text).split("\n")))


def quoted(value: T) -> T:
    """Return a copy of a result whose texts are printable, to be formatted for a terminal.

    Args:
        value: A dataclass, or lists, tuples and dicts of dataclasses, texts, paths and numbers.
    """
    return cast("T", _quoted(value))


def _quoted(value: Any) -> Any:  # noqa: ANN401  whatever a result is made of
    copy = value
    if isinstance(value, str):
        copy = printable(value)
    elif isinstance(value, Path):
        copy = Path(printable(value))
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = (field.name for field in dataclasses.fields(value) if field.init)
        texts = {name: _quoted(getattr(value, name)) for name in fields}
        copy = dataclasses.replace(value, **texts)
    elif isinstance(value, dict):
        copy = {_quoted(key): _quoted(item) for key, item in value.items()}
    elif type(value) is list:
        copy = [_quoted(item) for item in value]
    elif type(value) is tuple:
        copy = tuple(_quoted(item) for item in value)
    return copy


def _escaped(character: str) -> str:
    if character in _SHORT:
        return _SHORT[character]
    if character not in _DIRECTIONS and unicodedata.category(character) not in _UNSAFE:
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is not UTF-8, as Python represents it
        return f"\\x{code - 0xDC00:02x}"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
