"""`vsrc data`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.lazy_group import LazyGroup
from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.sample_input import InputPath
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo, echo_line
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.text.quoting import quoted


@click.group("data", cls=LazyGroup, lazy_commands={})
def data_group() -> None:
    """Check training data."""


@data_group.command("check")
@click.argument("folder", metavar="DIR", type=InputPath())
@click.option(
    "--scale", type=int, default=DistillConfig.scale, show_default=True, help="SR/LR side ratio."
)
@click.option(
    "--patch",
    type=int,
    default=DistillConfig.patch,
    show_default=True,
    help="Side of the HR crops, pixels.",
)
@click.option(
    "--clip-length",
    type=int,
    default=DistillConfig.clip_length,
    show_default=True,
    help="Frames of a training clip.",
)
@click.option(
    "--degradation",
    type=click.Choice(["bi", "bd", "real", "given"]),
    default=DistillConfig.degradation,
    show_default=True,
    help="How LR is made.",
)
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@media_options
def data_check_command(folder: Path, as_json: bool, **needs: Any) -> None:  # noqa: ANN401
    """Check the clips in DIR before training.

    Lists layout, clips, frames, cuts, damaged files, how LR files were made, and what training with
    these settings of vsrc distill would leave out.
    """
    from vsrc.runtime.decode.clip_layouts import describe_skipped
    from vsrc.runtime.errors import DataError
    from vsrc.runtime.installation import require_installed

    require_installed("vsrc data check", "torch", extra="compress")
    from vsrc.compressor.data.check import TrainingNeeds, check_folder

    with StatusLine() as status:
        report = check_folder(
            folder,
            needs=TrainingNeeds(**needs),
            progress=lambda now: status(
                "checking the clips:", f"{now.done} of {now.total}  {now.name}"
            ),
        )
    if as_json:
        echo_json(report)
    else:
        for clip in report.details:
            echo_line(clip)
        echo(quoted(report))
    for line in describe_skipped(report.skipped):
        echo_line(line, err=True)
    if report.broken or report.refused:
        raise DataError(
            f"{report.broken} of {len(report.details)} clips cannot be used, and training would "
            f"leave out {report.refused}"
        )
