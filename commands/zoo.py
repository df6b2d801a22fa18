"""`vsrc zoo`."""

from __future__ import annotations

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.text_output import echo
from vsrc.runtime.text.quoting import quoted


@click.command("zoo")
@click.option("--json", "as_json", is_flag=True, help="List as JSON.")
def zoo_command(as_json: bool) -> None:
    """List networks, and the models that ship with vsrc."""
    import shutil

    from vsrc.compressor.zoo import zoo
    from vsrc.compressor.zoo_text import zoo_text

    overview = zoo()
    if as_json:
        echo_json(overview)
    else:
        echo(zoo_text(quoted(overview), width=shutil.get_terminal_size().columns))
