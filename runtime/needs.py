"""What vsrc needs, as its own installed metadata declares it, and what of that is installed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata

from vsrc.runtime.errors import MissingDependencyError

_REQUIREMENT = re.compile(
    r"""(?P<name>[A-Za-z0-9._-]+) (?:\[[^\]]*\])? \s* (?:>=\s*(?P<least>[0-9.]+))? [^;]*
        (?:;.*extra\s*==\s*["'](?P<extra>[^"']+)["'])?""",
    re.VERBOSE,
)

_IMPORTED_AS = {"cv2": "opencv-python-headless", "yaml": "pyyaml"}
"""Module -> distribution, where they are not named alike."""


@dataclass(frozen=True)
class Need:
    """A package that vsrc, or one of its extras, needs.

    Attributes:
        name: Name of the distribution.
        extra: The extra that asks for it; None where vsrc never works without.
        least: Oldest version that will do, or empty.
        installed: The version that is there, or None.
    """

    name: str
    extra: str | None
    least: str
    installed: str | None

    @property
    def wanted(self) -> str:
        """As pip takes it: "torch>=2.6"."""
        return f"{self.name}>={self.least}" if self.least else self.name

    @property
    def is_met(self) -> bool:
        """Installed, and new enough."""
        if self.installed is None:
            return False
        return version_numbers(self.installed) >= version_numbers(self.least)


@contextmanager
def needed(name: str, install: str) -> Iterator[None]:
    """Around an import that may fail.

    Args:
        name: What is imported.
        install: What pip brings it with: "vsrc[export]".

    Raises:
        MissingDependencyError: It is not importable.
    """
    try:
        yield
    except ImportError as error:
        raise MissingDependencyError(
            f"{name} is not importable ({error}); install it: pip install {shlex.quote(install)}"
        ) from error


def needs() -> list[Need]:
    """Every need, those of vsrc itself first, in the order of pyproject.toml."""
    found = [_need(text) for text in metadata.requires("vsrc") or ()]
    return sorted(found, key=lambda need: need.extra is not None)


def extras_with(module: str) -> list[str]:
    """Extras of vsrc that bring a module, by the name it is imported by; in declared order."""
    wanted = _IMPORTED_AS.get(module, module.replace("_", "-"))
    found = [need.extra for need in needs() if need.name == wanted]
    return [extra for extra in found if extra not in (None, "dev")]


def installed_version(name: str) -> str | None:
    """Version of a distribution, without importing it; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def installed_like(prefix: str) -> list[str]:
    """Names of installed distributions that begin so, sorted."""
    names = {item.metadata["Name"].lower() for item in metadata.distributions()}
    return sorted(name for name in names if name.startswith(prefix))


def version_numbers(version: str) -> tuple[int, ...]:
    """Numbers at the start of a version, without zeros at the end: "2.13.0+cpu" is (2, 13)."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in release.group().split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _need(text: str) -> Need:
    found = _REQUIREMENT.match(text)
    assert found is not None, text  # our own metadata
    name = found["name"]
    return Need(name, found["extra"], found["least"] or "", installed_version(name))
