"""Run other programs so that they end with this process, also when it is killed."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Sequence

_START = """\
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)  # PR_SET_PDEATHSIG, SIGKILL; the program inherits it
if os.getppid() == int(sys.argv[1]):  # else the parent has ended meanwhile
    os.execvp(sys.argv[2], sys.argv[2:])
"""


def bound_to_parent(command: Sequence[str]) -> list[str]:
    """Return a command line that runs a program which ends with the thread that starts it.

    So the thread must wait for it, as `subprocess.run` does. Environment, working directory,
    streams and status are those of the program. Other systems than Linux: the command as it is.

    Args:
        command: Program and arguments.

    Raises:
        FileNotFoundError: There is no such program.
    """
    if shutil.which(command[0]) is None:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), command[0])
    if sys.platform != "linux":
        return list(command)
    # -I and -S: nothing is imported but Python's own modules, which takes some 20 ms.
    return [sys.executable, "-I", "-S", "-c", _START, str(os.getpid()), *command]
