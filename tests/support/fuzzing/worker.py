"""A process that restores one file after another and says what became of each.

`supervisor.py` starts it; its argument is a folder for what it makes.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import IO

from vsrc.cli import main as vsrc

MODEL = "edge-s"
"""The smallest that ships: what is tried is the way of a file, not the network."""

QUICKLY = ("--preset", "ultrafast", "--threads", "1")


def work(folder: Path) -> None:
    """Take names of files on stdin; answer each with a line of JSON on stdout."""
    answers = os.fdopen(os.dup(1), "w")
    said = {number: (folder / f"said-{os.getpid()}-{number}").open("w+b") for number in (1, 2)}
    for number, file in said.items():
        os.dup2(file.fileno(), number)  # what libraries written in C say is caught, too
    output = folder / f"out-{os.getpid()}.mkv"
    for line in sys.stdin:
        for file in said.values():
            file.seek(0)
            file.truncate()
        arguments = ["infer", line.strip(), "-m", MODEL, "-o", str(output), *QUICKLY]
        before, began = resident_bytes(), time.perf_counter()
        status, trouble = call(vsrc, arguments)
        sys.stdout.flush()
        sys.stderr.flush()
        answer = {
            "status": status,
            "trouble": trouble,
            "seconds": round(time.perf_counter() - began, 3),
            "out": text_of(said[1]),
            "err": text_of(said[2]),
            "left_over": output.exists() and status != 0,
        }
        output.unlink(missing_ok=True)
        answer["grown_bytes"] = resident_bytes() - before
        print(json.dumps(answer), file=answers, flush=True)


def call(command: Callable[[list[str]], object], arguments: list[str]) -> tuple[int | None, str]:
    """Exit status of a command, or what came out of it that should not have."""
    try:
        command(arguments)
    except SystemExit as end:
        return (end.code if isinstance(end.code, int) else 0), ""
    except BaseException:
        return None, traceback.format_exc()[-2000:]
    return 0, ""


def text_of(file: IO[bytes]) -> str:
    """What was written to a file through its descriptor."""
    file.seek(0)
    return file.read().decode(errors="replace")[-4000:]


def resident_bytes() -> int:
    """Memory of this process, without what it only has not given back yet."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    faulthandler.enable()
    work(Path(sys.argv[1]))
