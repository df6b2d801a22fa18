"""The program `vsrc`, which is also `python -m vsrc`.

`-m` puts the working directory in front of all that is imported, where a `json.py` would be taken
for Python's. It is removed before vsrc imports anything else; by then Python has imported a few
modules of its own, so in a folder that is not yours use `vsrc`, or `python -P -m vsrc` (3.11+).
"""

import os
import sys

_STOPPED = 130


def main() -> None:
    """Run the command line; a stop signal ends it with 130 also while it is being imported."""
    import signal

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):  # Windows has no SIGHUP
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)

    from vsrc.cli import main as run_command

    try:
        run_command()
    except SystemExit as ending:
        if ending.code == _STOPPED:
            _end_quickly()
        raise


def _end(_number: int, _frame: object) -> None:
    """End the process; only before a command begins and after it has ended."""
    os.write(2, b"vsrc: interrupted\n")
    os._exit(_STOPPED)


def _end_quickly() -> None:
    """End a stopped command without waiting for its threads and the end of torch's modules."""
    import atexit
    from contextlib import suppress

    atexit._run_exitfuncs()  # temporary files, workers, what was logged
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # closed, or there was none
            stream.flush()
    os._exit(_STOPPED)


if __name__ == "__main__":
    if sys.path[:1] in ([""], [os.getcwd()]):  # noqa: PTH109  pathlib is not loaded yet
        del sys.path[0]

    main()
