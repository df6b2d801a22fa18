"""Prepares every Python process that vsrc starts, so that it imports nothing from where it stands.

`python -c` and `python -m` put the working directory in front of all that is imported, a script its
own folder, and `PYTHONPATH` may name either. A `json.py` beside a video would then be run in place
of Python's. A child gets the import path of this process without those entries, and takes `vsrc`
itself from the files that this process took it from, wherever they are.

    python [-P] -c "the path, then vsrc, then the code" arguments
             |              |
             |              sets sys.path before anything but `sys` is imported
             Python 3.11 and newer; older ones leave "" at the front, which is gone with the rest
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
    """What starts a Python process.

    Attributes:
        command: Program and arguments.
        environment: All of its environment variables.
    """

    command: list[str]
    environment: dict[str, str]


def prepare_child(code: str, *arguments: str) -> PythonChild:
    """Command and environment of a process that runs Python code with this copy of vsrc.

    Args:
        code: Runs as `__main__`; it may import vsrc and all that this process can import, save for
            modules of the working directory and beside the script.
        arguments: Become `sys.argv[1:]`.
    """
    path = safe_import_path()
    start = _START.format(path=path, package=vsrc.__file__, code=code)
    environment = {
        **os.environ,
        # For the time before the code, and for children of the child.
        "PYTHONPATH": os.pathsep.join(entry for entry in path if os.pathsep not in entry),
        "PYTHONSAFEPATH": "1",
    }
    return PythonChild([sys.executable, *_options(), "-c", start, *arguments], environment)


def safe_import_path() -> list[str]:
    """`sys.path` without the folders that depend on where and from what vsrc was started.

    Left out are relative entries, also those of `PYTHONPATH`, all names of the working directory,
    and the folder of the running script. Python's own folders always stay.
    """
    entries: list[object] = list(sys.path)  # a Path among them does nothing
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
    """For a library that hands its `sys.path` and working directory to processes: show safe ones.

    Inside, this process works in the folder of Python's own modules, which is on every path anyway.
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
    """The working directory, what `PYTHONPATH` names relative to it, the folder of the script."""
    with contextlib.suppress(FileNotFoundError):  # it was removed: nothing comes from it
        here = Path.cwd()
        yield here
        for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep):
            if not Path(entry).is_absolute():  # sys.path has it as an absolute path by now
                yield here / entry
    main = sys.modules.get("__main__")
    script = getattr(main, "__file__", None)
    if script and getattr(main, "__spec__", None) is None:  # else a module, or an archive
        yield Path(script).absolute().parent


def _own_folders() -> Iterator[Path]:
    """Where Python and what is installed for it lie: safe even as the working directory."""
    for kind in ("stdlib", "platstdlib", "purelib", "platlib"):
        yield Path(sysconfig.get_path(kind))
    yield Path(sysconfig.get_path("platstdlib"), "lib-dynload")
    yield from map(Path, (*site.getsitepackages(), site.getusersitepackages()))


def _identity(path: Path) -> tuple[int, int] | None:
    """The same for all names of a folder; None if it does not exist."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _options() -> list[str]:
    """Options of the interpreter: as isolated as this process, or more."""
    options = ["-P"] if sys.version_info >= (3, 11) else []
    if sys.flags.isolated:
        return [*options, "-I"]
    options += ["-E"] if sys.flags.ignore_environment else []
    options += ["-s"] if sys.flags.no_user_site else []
    return options
