"""The help of each command, word for word, as a terminal of 80 columns shows it.

`VSRC_UPDATE_SNAPSHOTS=1 pytest tests/wording` writes the files of `help/` anew; git shows the
change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.commands.completion import SHELLS

HELP = Path(__file__).with_name("help")
LONGEST_FIRST_LINE = 60


def iter_commands(command: click.Command, words: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the words that select each command; none for the program itself."""
    yield words
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from iter_commands(inner, (*words, name))


COMMANDS = list(iter_commands(main))


def help_of(words: tuple[str, ...]) -> str:
    # click leaves two columns free: its 80 are those of the terminal.
    done = CliRunner().invoke(main, [*words, "--help"], prog_name="vsrc", terminal_width=80)
    assert done.exit_code == 0, done.output
    return done.stdout


def command_of(words: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for word in words:
        assert isinstance(command, click.Group)
        inner = command.get_command(click.Context(command), word)
        assert inner is not None
        command = inner
    return command


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "vsrc")
def test_help_is_what_its_snapshot_says(words: tuple[str, ...]) -> None:
    path = HELP / f"{'-'.join(words) or 'vsrc'}.txt"
    text = help_of(words)
    if os.environ.get("VSRC_UPDATE_SNAPSHOTS") == "1":
        path.write_text(text, encoding="utf-8")
    assert text.splitlines() == path.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "vsrc")
def test_help_fits_a_terminal_and_explains_each_option(words: tuple[str, ...]) -> None:
    text = help_of(words)
    assert max(map(len, text.splitlines())) <= 80
    for parameter in command_of(words).params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{words}: {parameter.opts} has no help"


def test_first_lines_are_short_and_shown_whole() -> None:
    for words in COMMANDS[1:]:
        first = (command_of(words).help or "").strip().partition("\n")[0]
        assert 0 < len(first) <= LONGEST_FIRST_LINE, first
        assert first.removesuffix(".") in help_of(words[:-1]), first


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: " ".join(words) or "vsrc")
def test_help_shows_no_markup(words: tuple[str, ...]) -> None:
    text = help_of(words)
    assert "\\b" not in text
    assert "\b" not in text


def test_help_of_completion_has_a_line_for_each_shell() -> None:
    starts = [line.split()[:1] for line in help_of(("completion",)).splitlines()]
    assert [[shell] in starts for shell in SHELLS] == [True] * len(SHELLS)


def test_help_fits_a_narrow_terminal() -> None:
    for words in COMMANDS:
        done = CliRunner().invoke(main, [*words, "--help"], prog_name="vsrc", terminal_width=60)
        # A line of completion is copied as it stands.
        lines = [line for line in done.stdout.splitlines() if "vsrc completion " not in line]
        assert max(map(len, lines)) <= 60, words


def test_every_snapshot_is_of_a_command() -> None:
    names = {"-".join(words) or "vsrc" for words in COMMANDS}
    assert {path.stem for path in HELP.glob("*.txt")} == names


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_is_printed_for_each_shell(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell], prog_name="vsrc")
    assert done.exit_code == 0, done.output
    assert "_VSRC_COMPLETE" in done.stdout
    assert "%(" not in done.stdout


def test_completion_offers_commands_options_and_choices() -> None:
    from click.shell_completion import ShellComplete

    complete = ShellComplete(main, {}, "vsrc", "_VSRC_COMPLETE")

    def offers(words: list[str], incomplete: str) -> set[str]:
        return {item.value for item in complete.get_completions(words, incomplete)}

    assert "preview" in offers([], "pre")
    assert "--precision" in offers(["export"], "--pre")
    assert offers(["export", "a.vsrc", "--precision"], "int") == {"int8", "int8-cpu"}
