"""Prepare Python child processes that import nothing from the working directory.

`python -c` and `python -m` put the working directory first in `sys.path`, a script its own folder,
and `PYTHONPATH` may contain either. A `json.py` beside a video would then be imported in place of
Python's. A child gets the import path of this process without those entries, and imports `vsrc`
from the same files as this process.

    python [-P] -c "the path, then vsrc, then the code" arguments
             |              |
             |              sets sys.path before anything but `sys` is imported
             Python 3.11 and newer; in older ones "" comes first and is removed with the rest
"""

from __future__ import annotations

import contextlib
import os
import site
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import vsrc

_START = """\
import sys
sys.path[:] = {path!r}
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("vsrc", {package!r})
sys.modules["vsrc"] = module_from_spec(spec)
spec.loader.exec_module(sys.modules["vsrc"])
{code}
"""


@dataclass(frozen=True)
class PythonChild:
    """Command line and environment of a Python process.

    Attributes:
        command: Program and arguments.
        environment: Environment variables of the process.
    """

    command: list[str]
    environment: dict[str, str]


def prepare_child(code: str, *arguments: str) -> PythonChild:
    """Prepare a process that runs Python code with this copy of vsrc.

    Args:
        code: Code to run as `__main__`; it may import vsrc and all that this process can import,
            except modules in the working directory and beside the script.
        arguments: Arguments of the process, `sys.argv[1:]`.
    """
    path = safe_import_path()
    start = _START.format(path=path, package=vsrc.__file__, code=code)
    environment = {
        **os.environ,
        # For imports before the code runs, and for children of the child.
        "PYTHONPATH": os.pathsep.join(entry for entry in path if os.pathsep not in entry),
        "PYTHONSAFEPATH": "1",
    }
    return PythonChild([sys.executable, *_options(), "-c", start, *arguments], environment)


def safe_import_path() -> list[str]:
    """Return `sys.path` without folders that depend on how vsrc was started.

    Excluded are relative entries, including those of `PYTHONPATH`, the working directory by any of
    its names, and the folder of the running script. Python's own folders are always kept.
    """
    entries: list[object] = list(sys.path)  # a Path in it has no effect
    unsafe = set(map(_identity, _unsafe_folders())) - set(map(_identity, _own_folders())) - {None}
    return [
        entry
        for entry in entries
        if isinstance(entry, str)
        and Path(entry).is_absolute()
        and _identity(Path(entry)) not in unsafe
    ]


@contextmanager
def show_safe_folders() -> Iterator[None]:
    """Set a safe `sys.path` and working directory, for libraries that pass them to child processes.

    Inside the block the working directory is that of the standard library, which is always on the
    path.
    """
    path, here = list(sys.path), Path.cwd()
    sys.path[:] = safe_import_path()
    os.chdir(sysconfig.get_path("stdlib"))
    try:
        yield
    finally:
        os.chdir(here)
        sys.path[:] = path


def _unsafe_folders() -> Iterator[Path]:
    """Yield the working directory, relative entries of `PYTHONPATH`, the folder of the script."""
    with contextlib.suppress(FileNotFoundError):  # removed: nothing to import from
        here = Path.cwd()
        yield here
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
            if not Path(entry).is_absolute():  # already absolute in sys.path
                yield here / entry
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if script and getattr(main, "__spec__", None) is None:  # else a module, or an archive
        yield Path(script).absolute().parent


def _own_folders() -> Iterator[Path]:
    """Yield the folders of Python and installed packages: safe even as the working directory."""
    for kind in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(sysconfig.get_path(kind))
    yield Path(sysconfig.get_path("platstdlib"), "lib-dynload")
    yield from map(Path, (*site.getsitepackages(), site.getusersitepackages()))


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode, equal for all names of a folder; None if it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _options() -> list[str]:
    """Return interpreter options that isolate the child at least as much as this process."""
    options = ["-P"] if sys.version_info >= (3, 11) else []
    if sys.flags.isolated:
        return [*options, "-I"]
    options += ["-E"] if sys.flags.ignore_environment else []
    options += ["-s"] if sys.flags.no_user_site else []
    return options
