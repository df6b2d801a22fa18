"""An engine that is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from vsrc.runtime.backends.device.gpu import Address, Engine, GpuStream


class LazyEngine:
    """Opens an engine at the first use of it; see `Engine`.

    Args:
        open_engine: Loads the engine.
    """

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self._open_engine = open_engine
        self._engine: Engine | None = None

    @property
    def is_open(self) -> bool:
        """Whether the engine was loaded."""
        return self._engine is not None

    @property
    def inputs(self) -> dict[str, np.dtype[Any]]:
        """Input name -> dtype."""
        return self._opened().inputs

    @property
    def outputs(self) -> dict[str, np.dtype[Any]]:
        """Output name -> dtype."""
        return self._opened().outputs

    @property
    def is_capturable(self) -> bool:
        """Whether its runs can be captured as a graph."""
        return self._opened().is_capturable

    def reshape(self, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
        """See `Engine`."""
        return self._opened().reshape(shapes)

    def bind(self, name: str, address: Address) -> None:
        """See `Engine`."""
        self._opened().bind(name, address)

    def enqueue(self, stream: GpuStream) -> None:
        """See `Engine`."""
        self._opened().enqueue(stream)

    def close(self) -> None:
        """See `Engine`; one that was never used has nothing to free."""
        if self._engine is not None:
            self._engine.close()

    def _opened(self) -> Engine:
        if self._engine is None:
            self._engine = self._open_engine()
        return self._engine
