"""The model package: a folder `student.vsrc/` that every command takes as its argument.

    student.vsrc/
      model.json            ModelSpec, written last
      weights.safetensors
      graphs/*.onnx         engines/  calibration.json  reports/

A package is untrusted input: there is no pickle, no path may lead out of the folder, and size and
hash of a file are checked before it is read and used.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, get_args

from vsrc.runtime.errors import OutputError, SpecError, VsrcError
from vsrc.runtime.external_weights import external_weights
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.machine import cache_folder
from vsrc.runtime.output_guard import PlannedOutput, check_outputs
from vsrc.runtime.package_update import finish_update, open_update
from vsrc.runtime.pending_claim import put_back
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.pending_folder import open_pending_folder
from vsrc.runtime.shipped_models import list_shipped, shipped
from vsrc.runtime.spec import SPEC_FILE as SPEC_FILE
from vsrc.runtime.spec import SPEC_LIMIT_BYTES as SPEC_LIMIT_BYTES
from vsrc.runtime.spec import (
    FileSpec,
    GraphSpec,
    ModelSpec,
    Precision,
    spec_from_text,
    spec_to_text,
)

if TYPE_CHECKING:
    from vsrc.runtime.windows.session import Session

WEIGHTS_FILE = "weights.safetensors"
CALIBRATION_FILE = "calibration.json"
_CONTENTS = frozenset((
    SPEC_FILE, WEIGHTS_FILE, CALIBRATION_FILE, "original.onnx", "README.md",
    "graphs", "engines", "reports",
))  # fmt: skip
"""Names of what vsrc writes into a package, and of the text that those that ship have."""

_UNFINISHED = re.compile(r"\.vsrc-|\..+\.(pending|replaced)\Z|\.DS_Store\Z")
"""Names of what a killed command leaves in a package, and macOS in all folders."""

_LONGEST_NAME_BYTES = 255
MODEL_WAYS = (
    "a model is a package (a folder that vsrc distill or vsrc pack writes), the name of one that "
    "ships (vsrc zoo), a checkpoint (.pth, .safetensors), a graph (.onnx), or module:function with "
    "--weights; vsrc pack FILE -o my.vsrc makes a package of any of them"
)
"""What a model may be on the command line, for messages."""


@dataclass(frozen=True)
class Package:
    """An open package: its path and its spec."""

    path: Path
    spec: ModelSpec

    def file(self, entry: FileSpec) -> Path:
        """Return the path of a file of the package, after checking its place, size and hash.

        Raises:
            SpecError: The name leads out of the package, or the file differs from its description.
        """
        path = inside(self.path, entry.file)
        if not path.is_file():
            raise SpecError(f"{path} is missing; {SPEC_FILE} lists it")
        size = path.stat().st_size
        if size != entry.size_bytes:
            raise SpecError(f"{path} has {size} bytes, {SPEC_FILE} says {entry.size_bytes}")
        if (sha256 := file_sha256(path)) != entry.sha256:
            raise SpecError(
                f"{path}: sha256 is {sha256[:12]}..., {SPEC_FILE} says {entry.sha256[:12]}...; "
                "the file was changed or damaged: export it again or fetch the package again"
            )
        return path

    def weights(self) -> Path:
        """Return the path of the safetensors file, after checking it."""
        return self.file(self.spec.weights)

    def graph(self, name: str) -> tuple[Path, GraphSpec]:
        """Return path and description of the graph called `name` ("fp32", ...), after checks.

        Raises:
            SpecError: There is no such graph, it is older than the calibration, damaged, or keeps
                its weights in another file.
        """
        if name not in self.spec.graphs:
            have = ", ".join(self.spec.graphs) or "none"
            missing = f"{self.path} has no {name} graph (it has: {have})"
            if _precision_of(name) not in get_args(Precision):
                raise SpecError(f"{missing}; precisions are {', '.join(get_args(Precision))}")
            raise SpecError(f"{missing}; write it with: {self._export_of(name)}")
        graph = self.spec.graphs[name]
        if graph.stale:
            raise SpecError(
                f"{self.path}: its {name} graph is stale, it was written before the calibration; "
                f"write it again with: {self._export_of(name)}"
            )
        path = self.file(graph)
        if beside := external_weights(path):
            raise SpecError(
                f"{path} keeps weights in another file ({beside[0]}), which no hash of {SPEC_FILE} "
                f"covers; write the graph again with: {self._export_of(name)} --overwrite"
            )
        return path, graph

    def _export_of(self, name: str) -> str:
        """Command that writes a graph."""
        precision = _precision_of(name)
        options = f"--format onnx --precision {precision}"
        if name.endswith(("-float", "-stacked")):
            options += " --io float"
        if name.endswith("-stacked"):
            options += " --layout stacked"
        if precision.startswith("int8") and not (self.path / CALIBRATION_FILE).is_file():
            options += " --calib CLIPS"
        return advised_export(self.path, options)

    def session(
        self,
        *,
        backend: str = "auto",
        precision: str = "auto",
        threads: int = 0,
        device: int = 0,
    ) -> Session:
        """Open the package for single windows; `auto` is what `infer`, `eval` and `bench` take.

        See `vsrc.runtime.backends.opening.open_session`.
        """
        from vsrc.runtime.backends.opening import open_session

        return open_session(
            self, backend=backend, precision=precision, threads=threads, device=device
        )


def open_package(path: str | Path) -> Package:
    """Open a package; its other files are checked when they are used.

    Raises:
        SpecError: There is no package at `path`, or its `model.json` is invalid.
    """
    path = Path(path)
    if not path.exists():
        with suppress(OSError):  # not ours: it stays missing
            put_back(path)
    if not path.exists():
        raise SpecError(f"{path} does not exist; {describe_models(path)}")
    finish_update(path, last=SPEC_FILE)
    spec_path = inside(path, SPEC_FILE)
    if not spec_path.is_file():
        raise SpecError(
            f"{path} has no {SPEC_FILE}: not a vsrc package, or an unfinished one; {MODEL_WAYS}"
        )
    size = spec_path.stat().st_size
    if size > SPEC_LIMIT_BYTES:
        raise SpecError(f"{spec_path} has {size} bytes; at most {SPEC_LIMIT_BYTES} are read")
    try:
        text = spec_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{spec_path} cannot be read: {error}") from error
    package = Package(path=path, spec=spec_from_text(text, where=str(spec_path)))
    for entry in (package.spec.weights, *package.spec.graphs.values()):
        inside(path, entry.file)
    return package


def _precision_of(name: str) -> str:
    """Precision in the name of a graph."""
    whole = name.removeprefix("encode-").removeprefix("fuse-")
    return whole.removesuffix("-float").removesuffix("-stacked")


def describe_models(path: Path) -> str:
    """Say what could be given in place of a model that does not exist.

    Args:
        path: What was given; for a plain name the shipped models are listed, the nearest first.
    """
    if path.suffix or len(path.parts) != 1 or ":" in str(path):
        return MODEL_WAYS
    names = list_shipped()
    near = get_close_matches(str(path), names, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    return (
        f"{hint}these models ship with vsrc: {', '.join(names)}; any other is given by its path, "
        "or as module:function with --weights"
    )


def packed_folder() -> Path:
    """Return the folder of packages that vsrc made for itself of other files."""
    return cache_folder() / "networks"


def is_kept_by_vsrc(path: Path) -> bool:
    """Whether a package belongs to the installation or to the cache, and is not to be changed."""
    homes = (shipped().parent, packed_folder())
    return any(path.resolve().is_relative_to(home.resolve()) for home in homes)


def advised_export(path: Path, options: str) -> str:
    """Return the command that adds a graph or an engine to a package, as typed.

    For a package of vsrc's own it works on a copy in the working directory; for one whose network
    is code, it has the permission to run it.

    Args:
        path: Folder of the package.
        options: Options of `vsrc export`.
    """
    with suppress(VsrcError):  # what cannot be opened, the command itself reports
        if ":" in open_package(path).spec.network.name:
            options = f"{options} --allow-code"
    if not is_kept_by_vsrc(path):
        return f"vsrc export {shlex.quote(str(path))} {options}"
    is_shipped = path.stem in list_shipped() and path.resolve() == shipped(path.stem).resolve()
    model = path.stem if is_shipped else shlex.quote(str(path))
    return f"vsrc export {model} -o {path.stem}.vsrc {options}"


def inside(folder: Path, name: str) -> Path:
    """Return `folder / name`, if that is inside `folder`.

    Raises:
        SpecError: The name is absolute, has `..`, a drive or backslash, or a link that leads out.
    """
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise SpecError(f"{folder}: file name {name!r} is not text that a disk can hold") from error
    pure = PurePosixPath(name)
    parts_ok = not pure.is_absolute() and ".." not in pure.parts and pure.parts
    if any(len(os.fsencode(part)) > _LONGEST_NAME_BYTES for part in pure.parts):
        raise SpecError(f"{folder}: file name {name[:40]!r}... is longer than a disk can hold")
    if not parts_ok or "\\" in name or ":" in name or "\0" in name:
        raise SpecError(f"{folder}: file name {name!r} leads out of the package")
    path = folder.joinpath(*pure.parts)
    try:
        is_inside = path.resolve().is_relative_to(folder.resolve())
    except OSError as error:  # a name that is too long, or a circle of links
        reason = error.strerror or "it cannot be resolved"
        raise SpecError(f"{folder}: file name {name!r:.80} cannot be used ({reason})") from error
    if not is_inside:
        raise SpecError(f"{folder}: file name {name!r} leads out of the package through a link")
    return path


def describe_file(folder: Path, name: str) -> FileSpec:
    """Return name, hash and size of a file in a package folder."""
    path = inside(folder, name)
    return FileSpec(file=name, sha256=file_sha256(path), size_bytes=path.stat().st_size)


def write_spec(folder: Path, spec: ModelSpec) -> None:
    """Write `model.json` into `folder` atomically."""
    write_file(folder / SPEC_FILE, spec_to_text(spec))


def open_package_update(path: Path) -> AbstractContextManager[Path]:
    """Create a folder whose files, `model.json` among them, replace those of a package together.

    See `vsrc.runtime.package_update.open_update`.
    """
    return open_update(path, last=SPEC_FILE)


def check_new_folder(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise if `new_folder` could not write to `path`; to be called before hours of work.

    Args:
        path: Folder of the package.
        overwrite: Whether a package in its place is replaced.
        inputs: Files and folders that the package is made from, which are never replaced.

    Raises:
        OutputError: `path` exists and `overwrite` is off, it exists and is no package, or it is,
            or contains, an input.
        OSError: Its parent folder cannot be created or written.
    """
    check_replaceable(path, overwrite=overwrite, inputs=inputs)
    create_parent(path)


def create_parent(path: Path) -> None:
    """Create the folder that `path` lies in.

    Raises:
        OSError: It cannot be created or written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    if not os.access(path.parent, os.W_OK):
        raise PermissionError(f"{path.parent} cannot be written to")


def check_replaceable(path: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Check what `check_new_folder` does of what exists at `path`; nothing is created.

    Raises:
        OutputError: As for `check_new_folder`.
    """
    output = PlannedOutput(path, "-o", replaces_folder=True)
    check_outputs([output], inputs=inputs, overwrite=overwrite)
    if path.exists() and not (path / SPEC_FILE).is_file():
        raise OutputError(f"{path} exists and is not a vsrc package: it is not overwritten")
    if path.exists() and (foreign := _list_foreign(path)):
        more = f" and {len(foreign) - 1} more" if foreign[1:] else ""
        raise OutputError(
            f"{path} holds {foreign[0]}{more}, which vsrc did not write: it is not overwritten; "
            "move what you keep out of it, or give -o another name"
        )


def _list_foreign(package: Path) -> list[str]:
    """Names in a folder that are no part of a package, sorted."""
    names = (entry.name for entry in package.iterdir())
    return sorted(name for name in names if name not in _CONTENTS and not _UNFINISHED.match(name))


@contextmanager
def new_folder(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary folder that is renamed to `path` when the block ends without exception.

    Raises:
        OutputError: `path` exists and `overwrite` is off, or it exists and is no package.
        FileExistsError: It was created meanwhile, and `overwrite` is off.
    """
    check_new_folder(path, overwrite=overwrite)
    with open_pending_folder(path, overwrite=overwrite) as folder:
        yield folder
