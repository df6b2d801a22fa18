"""What a newcomer types first: `vsrc help`, a command alone, a typing error, a file name."""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from vsrc.cli import COMMANDS, main
from vsrc.commands.examples import EXAMPLES
from vsrc.runtime.text.missing_path import describe_missing


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, words, prog_name="vsrc")
    return done.exit_code, done.output


@pytest.mark.parametrize("words", [(), ("infer",), ("data", "check")])
def test_help_is_a_word_too(words: tuple[str, ...]) -> None:
    assert run("help", *words) == run(*words, "--help")
    assert run("help", *words)[0] == 0


@pytest.mark.parametrize(
    ("words", "advice"),
    [
        (("infr", "a.mp4"), "did you mean 'vsrc infer'?"),
        (("data", "chek"), "did you mean 'vsrc data check'?"),
        (("upscale",), "did you mean 'vsrc infer'?"),
        (("train",), "did you mean 'vsrc distill'?"),
        (("banana",), "there are: bench, calibrate, "),
    ],
)
def test_an_unknown_command_names_the_nearest(words: tuple[str, ...], advice: str) -> None:
    status, output = run(*words)
    assert (status, advice in output) == (2, True)


def test_a_file_in_place_of_a_command_gets_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("my clip.mp4").touch()
    status, output = run("my clip.mp4")
    assert (status, "vsrc infer 'my clip.mp4' -o OUT.mp4" in output) == (2, True)


def needs_arguments(name: str) -> bool:
    command = main.get_command(click.Context(main), name)
    assert command is not None
    return isinstance(command, click.Group) or any(each.required for each in command.params)


def test_every_command_that_needs_arguments_has_an_example() -> None:
    missing = [name for name in COMMANDS if needs_arguments(name) and name not in EXAMPLES]
    assert missing == []


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_are_accepted_as_typed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("clips", "low_resolution", "student.vsrc"):
        Path(folder).mkdir()
    for file in ("holiday.mp4", "holiday-x4.mp4", "rlfn_x4.pth"):
        Path(file).touch()
    program, first, *rest = shlex.split(EXAMPLES[name])
    assert (program, first) == ("vsrc", name)
    # A command keeps the names of its help option from its first context: give it its parent's.
    context = main.make_context("vsrc", [first, *rest])
    command = main.get_command(context, name)
    assert command is not None
    while isinstance(command, click.Group):
        context = click.Context(command, parent=context)
        inner = command.get_command(context, rest.pop(0))
        assert inner is not None
        command = inner
    command.make_context(name, rest, parent=context)  # raises click.UsageError if a word is wrong


def test_a_command_alone_gets_its_example() -> None:
    status, output = run("infer")
    assert (status, EXAMPLES["infer"] in output) == (2, True)


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("clpi.mp4", "did you mean clip.mp4?"),
        ("some/clip.mp4", "ls ."),
        ("my film/holiday.mp4", "ls 'my film'"),
        ("my fill/holiday.mp4", "did you mean my film?"),
    ],
)
def test_a_missing_path_says_where_to_look(
    typed: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("clip.mp4").touch()
    Path("my film").mkdir()
    words = describe_missing(Path(typed))
    assert words.startswith(f"{typed} does not exist; ")
    assert words.endswith(advice)
