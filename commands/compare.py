"""`vsrc compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.sample_input import InputPath
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo
from vsrc.runtime.quality.compare_config import CompareConfig
from vsrc.runtime.text.quoting import quoted


@click.command("compare")
@click.argument("left", type=InputPath())
@click.argument("right", type=InputPath())
@click.argument("reference", required=False, type=InputPath())
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=CompareConfig.output,
    show_default=True,
    help="HTML page to write.",
)
@click.option(
    "--start", type=float, default=CompareConfig.start, help="Start time, seconds.  [default: 0]"
)
@click.option(
    "--frames",
    type=int,
    default=CompareConfig.frames,
    show_default=True,
    help="Maximum number of frames.",
)
@click.option(
    "--border",
    type=int,
    default=CompareConfig.border,
    show_default=True,
    help="Pixels cropped at each edge before scoring.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing page.")
@click.option("--json", "as_json", is_flag=True, help="Scores as JSON.")
@media_options
def compare_command(as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Compare two videos or images in an HTML page with a slider.

    LEFT and RIGHT are images, or videos of the same frames. With REFERENCE, the ground truth, both
    are scored against it.
    """
    from vsrc.runtime.quality.compare_report import comparison_text
    from vsrc.runtime.quality.comparison import compare

    with StatusLine() as status:
        result = compare(
            CompareConfig(**options),
            progress=lambda now: status("comparing:", f"frame {now.frames}"),
        )
    if as_json:
        echo_json(result)
        return
    echo(comparison_text(quoted(result)))
