"""Where the CUDA runtime may be: packages of this Python, the loader's paths, and /usr/local."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from vsrc.runtime.installation import is_jetson_board

_SONAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
"""One for each major version; 11.0 is that of all of CUDA 11."""
_SYSTEM = (
    "usr/local/cuda/lib64",
    "usr/local/cuda/targets/*/lib",
    "usr/local/cuda-*/lib64",
    "usr/local/cuda-*/targets/*/lib",
    "usr/lib/*-linux-gnu",
    "opt/cuda/lib64",
)


def runtime_paths(root: Path = Path("/")) -> list[str]:
    """Return paths and sonames of the CUDA runtime to try, each once, in this order.

    A package of this Python was installed for it, so it comes first; on a Jetson JetPack's is.
    The newest version is tried first: the driver decides whether it can be used.

    Args:
        root: Folder that contains `/usr` and `/opt`; another one in tests.
    """
    packages, system = list(_in_packages()), [*_SONAMES, *_in_system(root)]
    both = (*system, *packages) if is_jetson_board() else (*packages, *system)
    return list(dict.fromkeys(both))


def _in_packages() -> Iterator[str]:
    """Yield the libraries of NVIDIA's wheels: nvidia/cu13/lib, nvidia/cuda_runtime/lib."""
    # No library is loaded from the working directory, which may be on the path, too.
    sites = [
        path
        for path in dict.fromkeys(sys.path)
        if path.endswith(("site-packages", "dist-packages"))
    ]
    for soname in _SONAMES:
        for site in sites:
            yield from map(str, sorted(Path(site, "nvidia").glob(f"*/lib/{soname}")))


def _in_system(root: Path) -> Iterator[str]:
    for soname in _SONAMES:
        for pattern in _SYSTEM:
            yield from map(str, sorted(root.glob(f"{pattern}/{soname}")))
