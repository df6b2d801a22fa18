"""`vsrc inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.model_argument import MODEL
from vsrc.commands.options.sample_input import resolve_input
from vsrc.commands.text_output import echo
from vsrc.runtime.text.quoting import quoted


@click.command("inspect")
@click.argument("path", metavar="FILE", type=MODEL)
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
@media_options
def inspect_command(path: Path, as_json: bool) -> None:
    """Show the contents of a package, graph, engine or video."""
    from vsrc.export.inspection.any_file import inspect
    from vsrc.runtime.inspection.facts import check_intact, inspection_json, inspection_text

    inspection = inspect(Path(resolve_input(str(path))))
    if as_json:
        click.echo(json.dumps(inspection_json(inspection), indent=2))
    else:
        echo(inspection_text(quoted(inspection)))
    check_intact(inspection)
