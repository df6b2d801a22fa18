"""Where a user's own code, `module:function`, is looked for."""

from __future__ import annotations

import sys
from pathlib import Path


def search_working_directory() -> None:
    """Let imports find modules of the working directory, after everything that is installed."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last: it must not shadow installed modules


def describe_python_file(path: Path) -> str:
    """Say how the code in a file is named where a network is expected."""
    return (
        f"{path} is Python code: name the function in it that makes the network, as "
        f"{path.stem}:FUNCTION, and run the command in the folder of {path.name}"
    )
