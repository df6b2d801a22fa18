"""Public names of a room that are imported only when they are used.

`vsrc --help` must not load numpy, and asking for one name of a room must not load what its other
names need; so the `__init__.py` of a room lists where its names live and lets this resolve them.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType


def lazy_names(
    room: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """A module's `__getattr__` and `__dir__` (PEP 562), for names imported on first use.

    Args:
        room: `__name__` of the room.
        homes: Public name -> absolute name of the module that defines it.

    Returns:
        What imports a name from its home, and what lists the public names, the modules of the room
        that are loaded, and the attributes that every module has.
    """

    def get(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name]), name)

    def list_names() -> list[str]:
        own = vars(sys.modules[room]).items()
        kept = {key for key, value in own if key[:2] == "__" or isinstance(value, ModuleType)}
        return sorted({*homes, *kept})

    return get, list_names
