"""What `vsrc demo` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoConfig:
    """One demo.

    Attributes:
        output: Folder for everything that the demo makes; made anew each time.
        steps: Updates that the student is taught for; the default takes about a minute on 2 cores.
        threads: CPU threads, 0 for as many as there are cores.
    """

    output: Path = Path("vsrc-demo")
    steps: int = 300
    threads: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1")
