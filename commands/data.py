"""`vsrc data`."""

from __future__ import annotations

from pathlib import Path

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.status_line import StatusLine


@click.group("data")
def data_group() -> None:
    """Look after folders of clips."""


@data_group.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def data_check_command(folder: Path, as_json: bool) -> None:
    """Say what DIR holds: layout, clips, frames, cuts, broken files, how LR twins were made."""
    from vsrc.runtime.errors import DataError
    from vsrc.runtime.installation import require_installed

    require_installed("vsrc data check", "torch", extra="compress")
    from vsrc.compressor.data.check import check_folder

    with StatusLine() as status:
        report = check_folder(folder, progress=lambda clip: status(clip.name))
    if as_json:
        echo_json(report)
    else:
        for clip in report.details:
            click.echo(clip)
        click.echo(report)
    if report.broken:
        raise DataError(f"{report.broken} of {len(report.details)} clips cannot be used")
