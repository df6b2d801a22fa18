"""A group whose commands are imported when they run: `vsrc --help` then loads click alone."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click

_SYNONYMS = {
    "upscale": "infer",
    "run": "infer",
    "enhance": "infer",
    "train": "distill",
    "quantize": "calibrate",
    "quantise": "calibrate",
    "convert": "export",
    "build": "export",
    "measure": "bench",
    "evaluate": "eval",
    "models": "zoo",
    "list": "zoo",
    "info": "inspect",
    "show": "inspect",
    "check": "doctor",
    "test": "selftest",
    "import": "pack",
}
"""Word that other programs use -> command."""


@dataclass(frozen=True)
class LazyCommand:
    """A command that is imported on first use.

    Attributes:
        module: Module that defines it.
        name: Name of the command object in that module.
        short_help: First sentence of its help, for the list of commands.
    """

    module: str
    name: str
    short_help: str


class LazyGroup(click.Group):
    """A group of commands that are imported on first use.

    Attributes:
        lazy_commands: Name -> command.
    """

    def __init__(
        self,
        *args: Any,  # noqa: ANN401  as click declares them
        lazy_commands: Mapping[str, LazyCommand],
        **kwargs: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*args, **kwargs)
        self.lazy_commands = lazy_commands

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*super().list_commands(ctx), *self.lazy_commands})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of this name."""
        entry = self.lazy_commands.get(cmd_name)
        if entry is None or cmd_name in self.commands:
            return super().get_command(ctx, cmd_name)
        command = getattr(import_module(entry.module), entry.name)
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is an error with the nearest name.

        Raises:
            click.UsageError: There is no such command.
        """
        if args and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            ctx.fail(f"No such command {args[0]!r}; {self._advise(ctx, args[0])}")
        return super().resolve_command(ctx, args)

    def _advise(self, ctx: click.Context, word: str) -> str:
        names = self.list_commands(ctx)
        if _SYNONYMS.get(word) in names:
            return f"did you mean '{ctx.command_path} {_SYNONYMS[word]}'?"
        if near := get_close_matches(word, names, n=1):
            return f"did you mean '{ctx.command_path} {near[0]}'?"
        if "infer" in names and Path(word).exists():
            return f"to upscale a video: vsrc infer {shlex.quote(word)} -o OUT.mp4"
        return f"there are: {', '.join(names)}"

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        names = self.list_commands(ctx)
        limit = formatter.width - 6 - max(map(len, names))
        rows = [(name, _shorten(self._short_help(ctx, name), limit)) for name in names]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _short_help(self, ctx: click.Context, name: str) -> str:
        if name in self.lazy_commands:
            return self.lazy_commands[name].short_help
        command = self.get_command(ctx, name)
        return "" if command is None else command.get_short_help_str(10**6)


def _shorten(text: str, limit: int) -> str:
    """Shorten a text as click does."""
    return click.Command(None, help=text).get_short_help_str(limit)
