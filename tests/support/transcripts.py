"""Run the commands of a transcript and write down what each says on stderr.

    $ vsrc infer none.mp4 -o out.mp4
    [1] vsrc: none.mp4 does not exist

A line that starts with `$` is a command as it would be typed; the exit status and the lines on
stderr follow. Progress is left out; the working directory reads `.`.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from unittest import mock

from click.testing import CliRunner

from vsrc import __version__
from vsrc.cli import main

_PROMPT = "$ vsrc "


def rerun(transcript: str) -> str:
    """Run all commands of a transcript in the working directory; return the transcript of now."""
    commands = [line for line in transcript.splitlines() if line.startswith(_PROMPT)]
    return "\n".join(f"{command}\n{_answer(command)}" for command in commands)


def _answer(command: str) -> str:
    with mock.patch("vsrc.commands.progress.progress_log.write_line"):
        words = shlex.split(command.removeprefix(_PROMPT))
        result = CliRunner().invoke(main, words, prog_name="vsrc")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    lines = [f"{line}\n" for line in _steady(result.stderr).splitlines() if line.strip()]
    return f"[{result.exit_code}] " + "    ".join(lines or ["\n"])


def _steady(text: str) -> str:
    """Replace what differs: the working directory, versions, sizes of files and pip's options."""
    text = text.replace(str(Path.cwd()), ".").replace(__version__, "VERSION")
    text = re.sub(r"\d{5,}", "N", text)
    return re.sub(r"pip install [^;)\n]*", "pip install ...", text)
