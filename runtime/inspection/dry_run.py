"""Check whether an install command would work, without installing anything."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Literal

from vsrc.runtime.installation import Command, this_installation
from vsrc.runtime.processes.bound_program import bound_to_parent
from vsrc.runtime.processes.child_process import prepare_child

_AT_ONCE = 4
_SHARE_OF_ALL = 0.5
"""Share of the time for all lines together; the rest is for each by itself, where that failed."""
_RUN_PIP = "from runpy import run_module; run_module('pip', run_name='__main__')"
_PIP = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_RETRIES": "1"}
_NO_ANSWER = ("retrying", "connection", "timed out", "name resolution", "proxyerror", "dns error")
_REASONS = ("No matching distribution", "conflicting dependencies", "Could not find", "No solution")
_OLD_PIP = "no such option: --dry-run"


@dataclass(frozen=True)
class DryRun:
    """Result of a dry run.

    Attributes:
        state: Whether the command would work; `unknown` without network, or with pip before 22.2.
        said: Why it would not work, or why that is unknown.
    """

    state: Literal["possible", "impossible", "unknown"]
    said: str = ""


_TOO_LONG = DryRun("unknown", "the package index took too long")


def try_commands(commands: Iterable[Command], *, seconds: float) -> dict[str, DryRun]:
    """Run commands as dry runs; return the results by the text of the command.

    pip queries the package index, as for the command itself; it may download packages to read
    their metadata, and discards them.

    Args:
        commands: Commands to check.
        seconds: Time limit for all of them together.
    """
    by_text = {command.text: command for command in commands}
    groups: dict[tuple[str, ...], list[Command]] = {}
    for command in by_text.values():
        groups.setdefault(command.dry_run, []).append(command)
    begin = time.monotonic()

    def attempt(command: Command, *, share: float = 1.0) -> DryRun:
        return _try(command, begin + share * seconds - time.monotonic())

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        # All together first: common requirements such as torch take longest to resolve.
        together = partial(attempt, share=_SHARE_OF_ALL)
        whole = list(pool.map(together, map(_merged, groups.values())))
        outcomes: dict[str, DryRun] = {}
        for group, outcome in zip(groups.values(), whole, strict=True):
            if len(group) > 1 and (outcome.state == "impossible" or outcome == _TOO_LONG):
                group.sort(key=_weight)
                results = pool.map(attempt, group)
                outcomes |= {c.text: result for c, result in zip(group, results, strict=True)}
            else:
                outcomes |= dict.fromkeys((command.text for command in group), outcome)
    return outcomes


def _weight(command: Command) -> tuple[bool, int]:
    """Order in which single lines are tried: those that pip resolves fast first."""
    return any("torch" in name for name in command.packages), len(command.packages)


def _merged(group: list[Command]) -> Command:
    """Merge commands that differ only in their packages."""
    packages = dict.fromkeys(name for command in group for name in command.packages)
    return Command("", group[0].dry_run, tuple(packages))


def _try(command: Command, seconds: float) -> DryRun:
    if not command.dry_run:
        return DryRun("unknown", "no dry run exists for this command")
    words, environment = _prepare((*command.dry_run, *command.packages))
    try:
        done = subprocess.run(
            bound_to_parent(words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(seconds, 0.1),
            check=False,
            env={**_PIP, **environment},
        )
    except subprocess.TimeoutExpired:
        return _TOO_LONG
    except OSError as error:
        return DryRun("unknown", str(error))
    if done.returncode == 0:
        return DryRun("possible")
    if _OLD_PIP in done.stderr:
        return DryRun("unknown", "this pip is older than 22.2 and has no --dry-run")
    if any(words in done.stderr.lower() for words in _NO_ANSWER):
        return DryRun("unknown", "the package index gave no answer")
    return DryRun("impossible", _reason(done.stderr))


def _prepare(words: tuple[str, ...]) -> tuple[Sequence[str], Mapping[str, str]]:
    """Build command and environment; pip must import nothing from the working directory."""
    for start in (("pip",), this_installation().pip):
        if start[0] != "uv" and words[: len(start)] == start:
            child = prepare_child(_RUN_PIP, *words[len(start) :])
            return child.command, child.environment
    return words, os.environ


def _reason(stderr: str) -> str:
    """Pick the most informative line of an installer's error output."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if any(words in line for words in _REASONS)]
    errors = [line for line in lines if line.lower().startswith("error:")]
    line = next(iter(telling[::-1] or errors[::-1] or lines[-1:]), "no reason was given")
    return line.removeprefix("ERROR: ").removeprefix("error: ")[:200]
