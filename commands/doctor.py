"""`vsrc doctor`."""

from __future__ import annotations

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.status_line import StatusLine


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def doctor_command(as_json: bool) -> None:
    """Say what is installed, what of it works, and the line that mends the rest."""
    from vsrc.runtime.doctor import check_base, examine
    from vsrc.runtime.doctor_text import doctor_text

    with StatusLine() as status:
        status("trying what is installed")
        diagnosis = examine()
    if as_json:
        echo_json(diagnosis)
    else:
        click.echo(doctor_text(diagnosis))
    check_base(diagnosis)
