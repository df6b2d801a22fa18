"""`vsrc doctor`."""

from __future__ import annotations

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo
from vsrc.runtime.text.quoting import quoted


@click.command("doctor")
@click.option("--offline", is_flag=True, help="Do not query the package index.")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def doctor_command(offline: bool, as_json: bool) -> None:
    """Check the installation and show how to fix problems.

    Each suggested command is checked with a dry run of pip, which queries the package index and
    installs nothing.
    """
    from vsrc.runtime.inspection.doctor import check_base, examine
    from vsrc.runtime.inspection.doctor_text import doctor_text

    with StatusLine() as status:
        diagnosis = examine(offline=offline, progress=status)
    if as_json:
        echo_json(diagnosis)
    else:
        echo(doctor_text(quoted(diagnosis)))
    check_base(diagnosis)
