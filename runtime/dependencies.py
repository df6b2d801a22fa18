"""Which packages vsrc needs, as its own metadata declares them, and which of them are installed."""

from __future__ import annotations

import importlib.util
import platform
import re
import sys
from dataclasses import dataclass
from importlib import metadata

from vsrc import __version__

DISTRIBUTION = "vsrc-edge"
"""Name for pip; what is imported and typed is `vsrc`. On the index `vsrc` is another project."""

_MODULES = {
    "cuda-bindings": "cuda.bindings",
    "jetson-stats": "jtop",
    "nvidia-ml-py": "pynvml",
    "onnxruntime-gpu": "onnxruntime",
    "opencv-python-headless": "cv2",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
}
"""Distribution -> module, where replacing hyphens is not enough."""

_REPORTED = ("numpy", "onnxruntime", "tensorrt", "tensorrt_rtx")


@dataclass(frozen=True)
class Dependency:
    """A package that vsrc, or one of its extras, needs.

    Attributes:
        name: Name of the distribution.
        extra: The extra that asks for it; None where vsrc never works without.
        requirement: What pip is asked for: "onnxruntime-gpu[cuda,cudnn]>=1.20".
        bounds: Versions that will do: ">=1.20", or empty.
        installed: The version that is there, or None.
    """

    name: str
    extra: str | None
    requirement: str
    bounds: str
    installed: str | None

    @property
    def module(self) -> str:
        """Name that it is imported by."""
        return module_of(self.name)

    def holds(self, module: str) -> bool:
        """Whether a module, or the package that it is in, comes with this."""
        return self.module.partition(".")[0] == module.partition(".")[0]

    @property
    def is_there(self) -> bool:
        """Installed, if need be by another distribution: opencv-python for its headless build."""
        return self.installed is not None or is_importable(self.module)

    @property
    def is_met(self) -> bool:
        """Installed, in a version that will do.

        A build before a release counts as that release: JetPack's torch is "2.6.0a0+nv25.1".
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
    """Every dependency that counts on this Python, those of vsrc itself first.

    Raises:
        PackageNotFoundError: vsrc runs from a folder and is not installed.
    """
    extras = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    texts = metadata.requires(DISTRIBUTION) or ()
    found = [_dependency(text, extra) for extra in (None, *extras) for text in texts]
    return [dependency for dependency in found if dependency is not None]


def dependencies_of(extra: str) -> list[Dependency]:
    """What an extra of vsrc brings."""
    return [dependency for dependency in dependencies() if dependency.extra == extra]


def is_declared(module: str) -> bool:
    """Whether vsrc, or one of its extras for users, brings a module."""
    return any(
        dependency.holds(module) and dependency.extra != "dev" for dependency in dependencies()
    )


def module_of(distribution: str) -> str:
    """Name that a distribution is imported by."""
    return _MODULES.get(distribution, distribution.replace("-", "_"))


def is_importable(module: str) -> bool:
    """Whether there is such a module, without importing it; a folder of that name is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # no parent package; or something half imported
        return False
    return spec is not None and spec.origin is not None


def find_version(name: str) -> str | None:
    """Version of a distribution, without importing it; None if it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def providers_of(module: str) -> list[str]:
    """Installed distributions that hold a module of this name, sorted."""
    names = metadata.packages_distributions().get(module, [])
    return sorted({name.lower().replace("_", "-") for name in names})


def version_numbers(version: str) -> tuple[int, ...]:
    """Numbers at the start of a version, without zeros at the end: "2.13.0+cpu" is (2, 13)."""
    release = re.match(r"[0-9]+(?:\.[0-9]+)*", version)
    numbers = [int(part) for part in release.group().split(".")] if release else []
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def collect_versions() -> dict[str, str]:
    """Package -> version, of Python, vsrc and the libraries that this process has loaded."""
    loaded = {name: sys.modules[name] for name in _REPORTED if name in sys.modules}
    versions = {name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()}
    return {"python": platform.python_version(), "vsrc": __version__, **versions}


def _dependency(text: str, extra: str | None) -> Dependency | None:
    """A line of the metadata, if it is of this extra and of this Python and system."""
    from packaging.requirements import Requirement

    wanted = Requirement(text)
    marker = wanted.marker
    if marker is None and extra is not None:
        return None
    if marker is not None and not marker.evaluate({"extra": extra or ""}):
        return None
    if extra is not None and marker is not None and marker.evaluate({"extra": ""}):
        return None  # of vsrc itself, on this Python
    parts = f"[{','.join(sorted(wanted.extras))}]" if wanted.extras else ""
    bounds = str(wanted.specifier)
    return Dependency(
        wanted.name, extra, f"{wanted.name}{parts}{bounds}", bounds, find_version(wanted.name)
    )
