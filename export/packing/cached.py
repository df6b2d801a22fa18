"""Packages of networks that are used without being packed first, kept in the user's cache."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import time
from pathlib import Path

from vsrc import __version__
from vsrc.export.config import ExportProgress
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import PackResult, describe_spec, pack
from vsrc.runtime.errors import SpecError
from vsrc.runtime.external_weights import external_weights
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import SPEC_FILE, open_package, packed_folder
from vsrc.runtime.user_code import search_working_directory

MOST_PACKAGES = 16
MOST_BYTES = 4 << 30
"""Bounds of the cache: what was used longest ago goes first."""
_SAFE_SECONDS = 3600
"""A package that was used within this time may still be in use, and stays."""


def cached_package(own: OwnNetwork, *, progress: ExportProgress = lambda _: None) -> PackResult:
    """Return a package of a network from the cache, made now if it is not there.

    The key is the hash of the file (of code: of its module and its weights), what is told of it,
    and the version of vsrc. Weights that code makes itself are not part of it.

    Args:
        own: The network.
        progress: Called at each step of packing.

    Raises:
        As `pack`.
    """
    folder = packed_folder()
    path = folder / f"{own.stem}-{_key(own)[:16]}.vsrc"
    try:
        package = open_package(path)
    except SpecError:
        folder.mkdir(parents=True, exist_ok=True)
        is_damaged = (path / SPEC_FILE).exists()
        try:
            made = pack(own, path, overwrite=is_damaged, progress=progress)
        except (SpecError, FileExistsError):
            if is_damaged or not (path / SPEC_FILE).exists():
                raise
            package = open_package(path)  # another process made it meanwhile
        else:
            _evict(folder, keep=path)
            return made
    os.utime(path)
    graphs = tuple(package.spec.graphs)
    return PackResult(path, describe_spec(package.spec.network), graphs)


def _key(own: OwnNetwork) -> str:
    files: list[Path | None] = [own.weights]
    if own.kind == "code":
        files.append(_module_file(own.source))
    else:
        source = Path(own.source)
        files += [source, *(source.parent / name for name in external_weights(source))]
    if own.network is not None and ":" in own.network:
        files.append(_module_file(own.network))
    hashes = [file_sha256(path) for path in files if path is not None and path.is_file()]
    names = [own.source] if own.kind == "code" else []
    facts = json.dumps([__version__, hashes, names, own.told], sort_keys=True, default=str)
    return hashlib.sha256(facts.encode()).hexdigest()


def _module_file(name: str) -> Path | None:
    """File of the module of `module:function`, found without importing it."""
    module = name.partition(":")[0]
    search_working_directory()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin else None


def _evict(folder: Path, *, keep: Path) -> None:
    """Delete the packages that were used longest ago, down to the bounds."""
    packages = sorted(folder.glob("*.vsrc"), key=lambda path: path.stat().st_mtime, reverse=True)
    total, now = 0, time.time()
    for place, path in enumerate(packages):
        total += sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        is_old = now - path.stat().st_mtime > _SAFE_SECONDS
        if path != keep and is_old and (place >= MOST_PACKAGES or total > MOST_BYTES):
            shutil.rmtree(path, ignore_errors=True)
