"""Refuse outputs that would destroy inputs, models, or files that vsrc did not write.

Every command passes all files that it is going to write to `check_outputs`, before any work:

    an output that is                     without --overwrite    with --overwrite
    an input or a file of the model       refused                refused
    inside a package                      refused                refused
    another output of the same command    refused                refused
    what the same command wrote before    replaced               replaced
    anything else that exists             refused                replaced
    `-`, a device or a pipe               written                written

Files are compared by identity, so links, hard links and other spellings of a path count as the same
file. A report carries the hash of its job, by which the same command recognises it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from vsrc.runtime.errors import OutputError, VsrcError
from vsrc.runtime.external_weights import external_weights
from vsrc.runtime.media_access import is_url, restored_url
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.spec import SPEC_FILE, SPEC_LIMIT_BYTES

_HEAD_BYTES = 4096
"""Part of a report that is searched for the hash of its job."""

_SIDECARS = {".engine": ".json", ".plan": ".json", ".trt": ".json", ".onnx": ".onnx.data"}
"""Suffix of a model file -> suffix of a file beside it that belongs to it."""

_HTML_HEAD = re.compile(rb"<head>\r?\n")
_JSON_HEAD = re.compile(rb'\A\{\s*(?:"kind": "[^"]*",\s*)?"schema_version": \d+,\r?\n')
_JOB = re.compile(rb'(?:"job": "|name="vsrc-job" content=")([0-9a-f]{64})"')

_Identity = tuple[int, int] | str


@dataclass(frozen=True)
class PlannedOutput:
    """A file or folder that a command is going to write.

    Attributes:
        path: Its path; `-` for stdout.
        name: Its name in messages: the option it comes from.
        replaces_folder: Whether an existing folder of this path is replaced as a whole.
        is_ours: Whether an existing file was written by the same command.
    """

    path: Path
    name: str
    replaces_folder: bool = False
    is_ours: Callable[[Path], bool] = lambda _path: False


def check_outputs(
    outputs: Iterable[PlannedOutput], *, inputs: Iterable[Path] = (), overwrite: bool = False
) -> None:
    """Raise if writing one of the outputs would destroy something; see the table above.

    Args:
        outputs: All files that the command is going to write.
        inputs: Files and folders that it reads; those that do not exist are ignored.
        overwrite: Whether other existing files may be replaced.

    Raises:
        OutputError: One of them must not be written; nothing was changed.
    """
    kept = [output for output in outputs if not _is_exempt(output.path)]
    for output in kept:
        if is_url(output.path):
            raise OutputError(
                f"{restored_url(output.path)} is a URL, and vsrc writes files only; give "
                f"{output.name} the name of a file, and send that"
            )
    read = [path for path in inputs if os.path.lexists(path)]
    identities = set(map(_identity, read))
    taken: dict[_Identity, PlannedOutput] = {}
    for output in kept:
        _check_kept(output, read, identities)
        other = taken.setdefault(_identity(output.path), output)
        if other is not output:
            raise OutputError(
                f"{output.path} is the output of both {other.name} and {output.name}; give them "
                "different names"
            )
    for output in kept:
        if not overwrite and output.path.exists() and not output.is_ours(output.path):
            raise OutputError(f"{output.path} exists; add --overwrite to replace it")


def _check_kept(output: PlannedOutput, read: Sequence[Path], identities: set[_Identity]) -> None:
    """Raise if an output is something that is never replaced."""
    path = output.path
    if _identity(path) in identities:
        raise OutputError(
            f"{path} is the input itself, which is never replaced; give {output.name} another name"
        )
    if output.replaces_folder:
        folder = Path(os.path.realpath(path))
        inner = next((file for file in read if _is_below(file, folder)), None)
        if inner is not None:
            raise OutputError(
                f"{path} contains the input {inner}, which is never replaced; give {output.name} "
                "another name"
            )
    if (package := _package_around(path)) is not None:
        raise OutputError(
            f"{path} is inside the package {package}, whose files are never replaced; give "
            f"{output.name} a name outside of it"
        )


def check_place(path: Path) -> None:
    """Raise if `write_file` could not write to a path; to be called before the work.

    Raises:
        VsrcError: The folder does not exist, or is not writable.
    """
    folder = path.parent
    if not folder.is_dir():
        raise VsrcError(f"{path} cannot be written: {folder} is not a folder that exists")
    if path.is_dir() or not os.access(folder, os.W_OK):
        raise VsrcError(f"{path} cannot be written: it is a folder, or {folder} is protected")


def report_output(path: Path, name: str, *, job: str) -> PlannedOutput:
    """Return the output of a report that `mark_report` marks with its job."""
    return PlannedOutput(path, name, is_ours=partial(_has_job, job=job))


def hash_job(command: str, *settings: object) -> str:
    """Return a hash of what a report is about: the command, and its settings by their `repr`."""
    return hashlib.sha256("\n".join([command, *map(repr, settings)]).encode()).hexdigest()


def mark_report(path: Path, job: str) -> None:
    """Add the hash of its job to a JSON or HTML report, so that the same command may replace it.

    Raises:
        VsrcError: The file cannot be written.
    """
    if _is_exempt(path):
        return
    content = path.read_bytes()
    place, line = (
        (_HTML_HEAD, f'<meta name="vsrc-job" content="{job}">')
        if content.lstrip().startswith(b"<")
        else (_JSON_HEAD, f'  "job": "{job}",')
    )
    write_file(path, place.sub(rb"\g<0>" + line.encode() + b"\n", content, count=1))


def model_files(*models: str | Path | None) -> list[Path]:
    """List the files that models on the command line consist of, as inputs for `check_outputs`.

    Args:
        models: Packages, graphs, engines, checkpoints, or `module:function`.
    """
    paths: list[Path] = []
    for model in models:
        if model is None:
            continue
        path = Path(model)
        paths.append(path)
        if _is_package(path):  # for hard links to one of its files
            paths += [file for file in sorted(path.rglob("*")) if file.is_file()]
        if (sidecar := _SIDECARS.get(path.suffix.lower())) is not None:
            paths.append(path.with_suffix(sidecar))
        paths += [path.parent / name for name in external_weights(path)]
        if ":" in str(model) and not path.exists():
            paths.append(Path(*str(model).partition(":")[0].split(".")).with_suffix(".py"))
    return paths


def _is_exempt(path: Path) -> bool:
    """Whether a path is stdout, or a device or pipe that is written to without being replaced."""
    return str(path) == "-" or (path.exists() and not (path.is_file() or path.is_dir()))


def _identity(path: Path) -> _Identity:
    """Return what two names of one file have in common."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(folder)


def _package_around(path: Path) -> Path | None:
    """Return the package folder that a path lies in; None if there is none."""
    parents = Path(os.path.realpath(path)).parents
    return next((folder for folder in parents if _is_package(folder)), None)


def _is_package(folder: Path) -> bool:
    spec = folder / SPEC_FILE
    try:
        if not spec.is_file() or spec.stat().st_size > SPEC_LIMIT_BYTES:
            return False
        content = json.loads(spec.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"schema_version", "network"} <= content.keys()


def _has_job(path: Path, *, job: str) -> bool:
    """Whether a file is a report of this job."""
    try:
        with path.open("rb") as file:
            match = _JOB.search(file.read(_HEAD_BYTES))
    except OSError:
        return False
    return match is not None and match[1].decode() == job
