"""Errors become one line and an exit status, in one place."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from vsrc.cli import COMMANDS, main
from vsrc.runtime import installation
from vsrc.runtime.errors import GateError, MissingDependencyError, SpecError, VsrcError
from vsrc.runtime.installation import Installation


def raising(error: BaseException) -> click.Command:
    @click.command("raising")
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (VsrcError("two\n  lines"), 1, "vsrc: two lines"),
        (SpecError("damaged"), 1, "vsrc: damaged"),
        (MissingDependencyError("not there"), 3, "vsrc: not there"),
        (GateError("missed"), 4, "vsrc: missed"),
        (ValueError("wrong"), 2, "vsrc: wrong"),
        (OSError(28, "No space left on device"), 1, "vsrc: [Errno 28] No space left on device"),
        (KeyboardInterrupt(), 130, "vsrc: interrupted; nothing was saved"),
        (
            ModuleNotFoundError("No module named 'torch'", name="torch"),
            3,
            "vsrc: this needs torch, which is not installed (NOTE); install it: pip install "
            "'torch>=2.6'",
        ),
        (
            ModuleNotFoundError("No module named 'yaml.nodes'", name="yaml.nodes"),
            3,
            "vsrc: this needs yaml, which is not installed; install it: pip install pyyaml",
        ),
    ],
)
def test_an_error_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(main.commands, "raising", raising(error))
    wheel = Installation(None, None, None, ("pip",))
    monkeypatch.setattr(installation, "this_installation", lambda: wheel)
    monkeypatch.setattr(installation, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(installation, "TORCH_SOURCE", "NOTE")
    result = CliRunner().invoke(main, ["raising"])
    assert result.exit_code == status
    assert result.stderr.splitlines() == [line]
    assert result.stdout == ""


def test_a_signal_after_the_first_cannot_change_the_exit_status() -> None:
    """Until the process has ended, which takes a while where torch is loaded."""
    code = """
import atexit, os, signal
from vsrc.cli import main

@main.command("wait")
def wait():
    signal.raise_signal(signal.SIGTERM)

atexit.register(lambda: os.kill(os.getpid(), signal.SIGTERM))
main(["wait"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "vsrc: interrupted; nothing was saved\n")


def test_a_mistake_of_our_own_is_not_dressed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ModuleNotFoundError("No module named 'vsrc.nowhere'", name="vsrc.nowhere")
    monkeypatch.setitem(main.commands, "raising", raising(error))
    assert CliRunner().invoke(main, ["raising"]).exception is error


def test_usage_errors_have_status_2() -> None:
    assert CliRunner().invoke(main, ["infer", "--no-such-option"]).exit_code == 2
    assert CliRunner().invoke(main, ["no-such-command"]).exit_code == 2


def test_the_list_of_commands_says_what_they_say() -> None:
    context = click.Context(main)
    assert main.list_commands(context) == sorted(COMMANDS)
    for name, entry in COMMANDS.items():
        command = main.get_command(context, name)
        assert command is not None
        assert command.name == name
        assert command.get_short_help_str(10**6) == entry.short_help
    assert main.get_command(context, "no-such-command") is None


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from vsrc.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in sys.modules if name.startswith('vsrc.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert "vsrc.commands.lazy_group" in loaded
    assert "vsrc.commands.infer" not in loaded
    assert "vsrc.runtime" not in loaded


def test_every_command_explains_itself() -> None:
    for name in COMMANDS:
        result = CliRunner().invoke(main, [name, "--help"])
        assert result.exit_code == 0
        assert result.stdout.startswith("Usage:")
