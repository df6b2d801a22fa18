"""Public names of a room that are imported only when they are used.

`vsrc --help` must not load numpy, and asking for one name of a room must not load what its other
names need; so the `__init__.py` of a room lists where its names live and lets this resolve them.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def lazy_names(room: str, homes: Mapping[str, str]) -> Callable[[str], object]:
    """A module-level `__getattr__` (PEP 562) that imports each name from its home on first use.

    Args:
        room: `__name__` of the room, for the message when a name is unknown.
        homes: Public name -> absolute name of the module that defines it.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    return get
