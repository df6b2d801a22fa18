"""What each step of a self-test is given, and how it reports its checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsrc.export.selftest.result import Check, CheckState
from vsrc.runtime.errors import MissingDependencyError


@dataclass
class Context:
    """Folders, device and checks of one step.

    Attributes:
        evidence: Folder for the raw evidence of the step.
        work: Folder that the steps share, for packages and their engines; removed at the end.
        device: Index of the CUDA device.
        quick: Whether only what needs no GPU is run.
        tell: Called with each check, as soon as it is done.
        checks: Checks so far.
    """

    evidence: Path
    work: Path
    device: int
    quick: bool
    tell: Callable[[Check], None]
    checks: list[Check] = field(default_factory=list)

    def add(self, name: str, state: CheckState, said: str = "") -> None:
        """Report a check."""
        check = Check(name, state, " ".join(said.split())[:600])
        self.checks.append(check)
        self.tell(check)

    @contextmanager
    def attempt(self, name: str) -> Iterator[list[str]]:
        """Report a check by how the block ends; what is appended to the list is its result.

        What is not installed is skipped, with the reason; any other error is a failure.
        """
        said: list[str] = []
        try:
            yield said
        except MissingDependencyError as error:
            self.add(name, "skipped", str(error))
        except Exception as error:  # of any library: this is what a self-test is to find
            self.add(name, "failed", f"{type(error).__name__}: {error}")
        else:
            self.add(name, "passed", "; ".join(said))

    def keep(self, name: str, content: Any) -> None:  # noqa: ANN401  text, or JSON
        """Keep raw evidence in a file of the step's folder."""
        text = content if isinstance(content, str) else json.dumps(content, indent=2)
        (self.evidence / name).write_text(text, encoding="utf-8")
