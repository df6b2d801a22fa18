"""The package that a command may write to: the user's own, or a copy or package made for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vsrc.export.config import ExportProgress
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import SOURCE_SHA256, pack
from vsrc.runtime.errors import SpecError, StoppedError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import CALIBRATION_FILE, Package, is_kept_by_vsrc, open_package


@dataclass(frozen=True)
class WritablePackage:
    """A package to write to.

    Attributes:
        path: Its folder.
        words: What was packed or copied to it; empty if it was there.
        is_new: Whether it was written just now, or is a copy of the source to which nothing was
            added yet (by a command that was stopped): replacing its graphs loses nothing.
    """

    path: Path
    words: str = ""
    is_new: bool = False


def find_writable(
    own: OwnNetwork,
    output: Path | None,
    *,
    verb: str,
    command: str = "",
    progress: ExportProgress = lambda _: None,
) -> WritablePackage:
    """Find or make the package that a command adds to.

    Args:
        own: Package, or network that is not one.
        output: Where a copy, or the package of a network, goes; None for the package itself, and
            for `NAME.vsrc` in the working directory for a network that is not one.
        verb: Name of the command, for messages.
        command: Command line, for the provenance.
        progress: Called at each step of packing.

    Raises:
        ValueError: A package of vsrc's own, without an output.
        SpecError: The output is another package.
    """
    package = own.package
    if output is None and package is not None:
        if is_kept_by_vsrc(package):
            raise ValueError(
                f"{package.stem} ships with vsrc and is not changed; add -o to work on a copy: "
                f"vsrc {verb} {package.stem} -o {package.stem}.vsrc"
            )
        return WritablePackage(package)
    output = output or Path(f"{own.stem}.vsrc")
    if package is not None and output.resolve() == package.resolve():
        return WritablePackage(package)
    if output.exists():
        there = open_package(output)
        if not _is_of(there, own):
            raise SpecError(
                f"{output} is the package of another network ({there.spec.network.name}); give "
                "another place with -o"
            )
        return WritablePackage(output, is_new=_is_copy(there, own))
    made = pack(own, output, command=command, progress=progress)
    return WritablePackage(output, made.words, is_new=True)


@contextmanager
def open_made(place: WritablePackage) -> Iterator[None]:
    """Context for a command that adds to a package: Ctrl+C names what was packed or copied.

    Raises:
        StoppedError: Instead of KeyboardInterrupt, if the package was made just now.
    """
    try:
        yield
    except KeyboardInterrupt:
        if not place.words:
            raise
        raise StoppedError(
            f"interrupted; {place.path} is saved without the result of this command; run the same "
            "command to resume"
        ) from None


def _is_copy(there: Package, own: OwnNetwork) -> bool:
    """Whether a package has the graphs and ranges of its source, and no engines that this lacks."""
    if own.package is None:
        return False
    source = open_package(own.package)
    names = {
        package.path: {path.name for path in package.path.glob("engines/*")}
        for package in (there, source)
    }
    ranges = [package.path / CALIBRATION_FILE for package in (there, source)]
    contents = [path.read_bytes() if path.is_file() else b"" for path in ranges]
    is_same = there.spec.graphs == source.spec.graphs and contents[0] == contents[1]
    return is_same and names[there.path] <= names[source.path]


def _is_of(there: Package, own: OwnNetwork) -> bool:
    if own.package is not None:
        return there.spec.weights.sha256 == open_package(own.package).spec.weights.sha256
    source = own.weights if own.kind == "code" else Path(own.source)
    known = there.spec.provenance.recipe.get(SOURCE_SHA256)
    return source is None or known == file_sha256(source)
