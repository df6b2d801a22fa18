"""List the packages that vsrc's metadata declares, and which of them are installed."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata

from vsrc import __version__

DISTRIBUTION = "vsrc-edge"
"""Distribution name; module and command are `vsrc`, which is another project on the index."""

_MODULES = {
    "jetson-stats": "jtop",
    "nvidia-ml-py": "pynvml",
    "onnxruntime-gpu": "onnxruntime",
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "tensorrt-cu12": "tensorrt",
}
"""Distribution -> module, where replacing hyphens is not enough."""

_REPORTED = ("numpy", "onnxruntime", "openvino", "tensorrt", "tensorrt_rtx")
_PLUGIN_MODULES = ("onnxruntime_ep_", "onnxruntime_qnn")
"""Beginnings of the names of modules that bring execution providers."""


@dataclass(frozen=True)
class Dependency:
    """A package that vsrc or one of its extras requires.

    Attributes:
        name: Name of the distribution.
        extra: Extra that requires it; None if vsrc always requires it.
        requirement: Requirement as passed to pip: "onnxruntime-gpu[cuda,cudnn]>=1.20".
        bounds: Version specifier: ">=1.20", or empty.
        installed: Installed version, or None.
    """

    name: str
    extra: str | None
    requirement: str
    bounds: str
    installed: str | None

    @property
    def module(self) -> str:
        """Name of the top-level module."""
        return module_of(self.name)

    def holds(self, module: str) -> bool:
        """Whether this distribution contains a module or its package."""
        return self.module.partition(".")[0] == module.partition(".")[0]

    @property
    def is_there(self) -> bool:
        """Whether it is installed, possibly as another distribution (opencv-python, headless)."""
        return self.installed is not None or is_importable(self.module)

    @property
    def is_met(self) -> bool:
        """Whether it is installed in a version within the bounds.

        A pre-release counts as its release: JetPack's torch is "2.6.0a0+nv25.1".
        """
        if self.installed is None:
            return False
        from packaging.specifiers import SpecifierSet
        from packaging.version import InvalidVersion, Version

        try:
            return SpecifierSet(self.bounds).contains(Version(self.installed).base_version)
        except InvalidVersion:
            return True


def dependencies() -> list[Dependency]:
    """Return every dependency that applies to this Python, those of vsrc itself first.

    Raises:
        PackageNotFoundError: vsrc runs from a folder and is not installed.
    """
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    texts = metadata.requires(DISTRIBUTION) or ()
    found = [_dependency(text, extra) for extra in (None, *extras) for text in texts]
    return [dependency for dependency in found if dependency is not None]


def dependencies_of(extra: str) -> list[Dependency]:
    """Return the dependencies of an extra."""
    return [dependency for dependency in dependencies() if dependency.extra == extra]


def is_declared(module: str) -> bool:
    """Whether vsrc, or one of its extras for users, requires a module."""
    return any(
        dependency.holds(module) and dependency.extra != "dev" for dependency in dependencies()
    )


def module_of(distribution: str) -> str:
    """Return the module name of a distribution."""
    return _MODULES.get(distribution, distribution.replace("-", "_"))


def is_importable(module: str) -> bool:
    """Whether a module exists, without importing it; namespace folders do not count."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # no parent package; or a partially imported one
        return False
    return spec is not None and spec.origin is not None


def find_version(name: str) -> str | None:
    """Return the version of a distribution, without importing it; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def requirements_of(name: str) -> list[str]:
    """Return the requirements in the metadata of a distribution; none if it is not installed."""
    try:
        return metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []


def providers_of(module: str) -> list[str]:
    """Return the installed distributions that contain a module, sorted."""
    names = metadata.packages_distributions().get(module, [])
    return sorted({name.lower().replace("_", "-") for name in names})


def version_numbers(version: str) -> tuple[int, ...]:
    """Return the numbers of a version without trailing zeros: "2.13.0+cpu" is (2, 13)."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in release.group().split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def collect_versions() -> dict[str, str]:
    """Return package -> version, of Python, vsrc and the libraries loaded in this process."""
    loaded = {name: sys.modules[name] for name in _REPORTED if name in sys.modules}
    versions = {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()}
    plugins = [name for name in sys.modules if name.startswith(_PLUGIN_MODULES) and "." not in name]
    versions |= {name: find_version(name.replace("_", "-")) or "?" for name in sorted(plugins)}
    return {"python": platform.python_version(), "vsrc": __version__, **versions}


def _dependency(text: str, extra: str | None) -> Dependency | None:
    """Parse a line of the metadata; None if it does not apply to this extra, Python and system."""
    from packaging.requirements import Requirement

    wanted = Requirement(text)
    marker = wanted.marker
    if marker is None and extra is not None:
        return None
    if marker is not None and not marker.evaluate({"extra": extra or ""}):
        return None
    if extra is not None and marker is not None and marker.evaluate({"extra": ""}):
        return None  # a dependency of vsrc itself, on this Python
    parts = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    bounds = str(wanted.specifier)
    return Dependency(
        wanted.name, extra, f"{wanted.name}{parts}{bounds}", bounds, find_version(wanted.name)
    )
