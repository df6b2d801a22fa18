"""Help of commands with many options: in groups, each under a heading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

_OTHERS = "Other options"


class GroupedCommand(click.Command):
    """A command whose help lists its options in groups.

    Args:
        groups: Heading -> long names of its options, in the order of the help.
        arguments: Arguments of `click.Command`.
    """

    def __init__(
        self,
        *arguments: Any,  # noqa: ANN401  as click declares them
        groups: Mapping[str, Sequence[str]],
        **settings: Any,  # noqa: ANN401
    ) -> None:
        super().__init__(*arguments, **settings)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See `click.Command.format_options`."""
        records: dict[str, tuple[str, str]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                records[max(parameter.opts, key=len)] = record
        for heading, names in self.groups.items():
            with formatter.section(heading):
                formatter.write_dl([records.pop(name) for name in names])
        if records:
            with formatter.section(_OTHERS):
                formatter.write_dl(list(records.values()))
