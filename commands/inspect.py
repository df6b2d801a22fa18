"""`vsrc inspect`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from vsrc.commands.model_argument import MODEL


@click.command("inspect")
@click.argument("path", metavar="FILE", type=MODEL)
@click.option("--json", "as_json", is_flag=True, help="Facts as JSON.")
def inspect_command(path: Path, as_json: bool) -> None:
    """Say what FILE is: a package, graph, engine, weights, video or picture."""
    from vsrc.export.inspection.any_file import inspect
    from vsrc.runtime.inspection.facts import check_intact, inspection_json, inspection_text

    inspection = inspect(path)
    if as_json:
        click.echo(json.dumps(inspection_json(inspection), indent=2))
    else:
        click.echo(inspection_text(inspection))
    check_intact(inspection)
