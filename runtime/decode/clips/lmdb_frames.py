"""Images in an LMDB, as BasicSR writes them: a key is a path without suffix, a value is a file.

An image has the path of the database and its key: `train.lmdb/000/00000012.png`. Databases come
from anywhere; a key never becomes a path of a file that is opened.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from pathlib import Path, PurePosixPath
from typing import Any

from vsrc.runtime.errors import DataError, MediaError
from vsrc.runtime.installation import require_installed

_LISTED = re.compile(r"(\S.*?\.\w+) \(\d+,\s*\d+,\s*\d+\) \d+")
"""A line of meta_info.txt: `000/00000000.png (720,1280,3) 1`."""


def is_lmdb(folder: Path) -> bool:
    """Whether a folder is an LMDB."""
    return (folder / "data.mdb").is_file()


def database_of(picture: Path) -> Path | None:
    """The LMDB that an image is in, by its path; None for an image in a file."""
    if ".lmdb" not in str(picture):
        return None
    return next(
        (path for path in picture.parents if path.suffix == ".lmdb" and is_lmdb(path)), None
    )


def list_lmdb(database: Path) -> list[Path]:
    """Paths of all images of a database, in the order of its list, or of its keys.

    Raises:
        DataError: It cannot be read, or its list names something else.
    """
    listed = database / "meta_info.txt"
    if listed.is_file():
        lines = listed.read_text(encoding="utf-8").splitlines()
        names = [_name_in(line, listed) for line in lines if line.strip()]
    else:
        names = [f"{key}.png" for key in _keys(database)]
    return [database / name for name in names]


def read_lmdb(database: Path, picture: Path) -> bytes:
    """Read the file of an image.

    Raises:
        MediaError: There is none of this key.
    """
    key = picture.relative_to(database).with_suffix("").as_posix()
    value = _read(database, key)
    if value is None:
        raise MediaError(f"{database} has no image {key!r}, which its meta_info.txt lists")
    return value


def lmdb_sha256(database: Path, picture: Path) -> str:
    """SHA-256 of the file of an image, hexadecimal."""
    return hashlib.sha256(read_lmdb(database, picture)).hexdigest()


def _name_in(line: str, listed: Path) -> str:
    found = _LISTED.fullmatch(line.strip())
    if found is None or ".." in PurePosixPath(found[1]).parts or found[1].startswith("/"):
        raise DataError(
            f"{listed}: {line!r} is no image; expected `000/00000000.png (720,1280,3) 1`, as "
            "BasicSR writes it"
        )
    return found[1]


def _keys(database: Path) -> list[str]:
    lmdb = _library(database)
    try:
        with _open(database) as environment, environment.begin() as transaction:
            return [bytes(key).decode() for key in transaction.cursor().iternext(values=False)]
    except (lmdb.Error, UnicodeDecodeError) as error:
        raise DataError(f"{database} cannot be read as LMDB: {error}") from error


def _read(database: Path, key: str) -> bytes | None:
    lmdb = _library(database)
    try:
        with _open(database) as environment, environment.begin() as transaction:
            value = transaction.get(key.encode())
    except lmdb.Error as error:
        raise MediaError(f"{database} cannot be read as LMDB: {error}") from error
    return None if value is None else bytes(value)


def _open(database: Path) -> Any:  # noqa: ANN401  lmdb has no types
    # Opened for each image: an environment must not be shared with a forked process.
    lmdb = _library(database)
    return lmdb.open(str(database), readonly=True, lock=False, readahead=False)


def _library(database: Path) -> Any:  # noqa: ANN401
    require_installed(f"{database}, an LMDB,", "lmdb", extra="lmdb")
    return importlib.import_module("lmdb")
