"""Where a user's own code, `module:function`, is looked for."""

from __future__ import annotations

import sys
from pathlib import Path


def search_working_directory() -> None:
    """Let imports find modules of the working directory, after everything that is installed."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last: it must not shadow installed modules
