"""Import the public names of a package lazily, when they are first used.

`vsrc --help` must not load numpy, and using one name of a package must not load the dependencies of
its other names; so its `__init__.py` lists the modules of its names, which are resolved here.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType


def lazy_names(
    room: str, homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """Return a module's `__getattr__` and `__dir__` (PEP 562), for names imported on first use.

    Args:
        room: `__name__` of the package.
        homes: Public name -> absolute name of the module that defines it.

    Returns:
        `__getattr__`, which imports a name from its module, and `__dir__`, which lists the public
        names, the loaded submodules, and the attributes that every module has.
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
