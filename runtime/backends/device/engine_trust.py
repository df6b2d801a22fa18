"""Which engines may be loaded: deserialising one runs what it contains.

The hash in the sidecar of an engine shows that the file is whole, not who made it, and `model.json`
does not list engines. So an engine is loaded only if it was built on this machine, which a file in
the user's cache folder says, or if the user trusts it (`--allow-code`).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from vsrc.runtime.errors import SpecError
from vsrc.runtime.machine import cache_folder

_ENGINE_NODE = b"EPContext"
_ALLOW = "VSRC_ALLOW_CODE"
"""Environment variable, so that processes that measure inherit it."""


def remember_engine(sha256: str) -> None:
    """Note that an engine with this hash was built on this machine."""
    place = _note(sha256)
    with suppress(OSError):  # then it needs --allow-code
        place.parent.mkdir(parents=True, exist_ok=True)
        place.touch()


def check_trusted(engine: Path, sha256: str) -> None:
    """Raise if an engine is not to be loaded.

    Args:
        engine: Path of the engine, for messages.
        sha256: Hash of its file, checked by `check_engine`.

    Raises:
        SpecError: It was not built on this machine, and is not trusted.
    """
    if not are_all_engines_allowed() and not _note(sha256).is_file():
        raise SpecError(
            f"{engine} was not built on this machine, and loading an engine runs its code; add "
            "--allow-code if you trust it, or build it here with vsrc export --overwrite"
        )


def check_no_engine_inside(graph: Path) -> None:
    """Raise if an ONNX file holds a compiled engine, or names one, and is not trusted.

    ONNX Runtime's providers for devices load the engine of an EPContext node by themselves.

    Raises:
        SpecError: It has such a node.
    """
    if are_all_engines_allowed() or not graph.is_file() or not graph.stat().st_size:
        return
    with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(_ENGINE_NODE) < 0:
            return
    raise SpecError(
        f"{graph} holds an engine (a node EPContext), and loading an engine runs its code; add "
        "--allow-code if you trust it, or use the graph that it was made of"
    )


def are_all_engines_allowed() -> bool:
    """Whether engines are loaded wherever they were built."""
    return os.environ.get(_ALLOW) == "1"


@contextmanager
def allow_engines() -> Iterator[None]:
    """Trust all engines in the block."""
    before = os.environ.get(_ALLOW)
    os.environ[_ALLOW] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_ALLOW]
        else:
            os.environ[_ALLOW] = before


def _note(sha256: str) -> Path:
    return cache_folder() / "built-engines" / sha256
