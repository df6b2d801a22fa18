"""Configuration of `vsrc demo`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DemoConfig:
    """Settings of a demo run.

    Attributes:
        output: Output folder; recreated at each run.
        steps: Number of training updates; the default takes about a minute on 2 cores.
        threads: Number of CPU threads; 0 for one per core.
    """

    output: Path = Path("vsrc-demo")
    steps: int = 300
    threads: int = 0

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1")
