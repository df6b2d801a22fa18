"""`vsrc preview`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.model_argument import MODEL
from vsrc.commands.options.own_network import NOTHING_TOLD, packaged
from vsrc.commands.options.sample_input import resolve_input
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo
from vsrc.runtime.candidates.preview_config import PreviewConfig
from vsrc.runtime.jobs.config import parse_seconds
from vsrc.runtime.text.quoting import quoted


@click.command("preview")
@click.argument("video", metavar="VIDEO")
@click.option(
    "-m",
    "--model",
    "models",
    type=MODEL,
    multiple=True,
    help="Model to try, as for vsrc infer; may be repeated.  [default: edge-m and edge-m-real]",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=PreviewConfig.output,
    show_default=True,
    help="HTML page to write.",
)
@click.option(
    "--start",
    metavar="TIME",
    help="Start of the excerpt: seconds or HH:MM:SS.  [default: the middle of the video]",
)
@click.option(
    "--seconds",
    type=float,
    default=PreviewConfig.seconds,
    show_default=True,
    help="Length of the excerpt; a shorter video is used whole.",
)
@click.option(
    "--backend",
    default=PreviewConfig.backend,
    show_default=True,
    help="Backend, as for vsrc infer.",
)
@click.option(
    "--precision",
    default=PreviewConfig.precision,
    show_default=True,
    help="Graph, as for vsrc infer.",
)
@click.option(
    "--threads", type=int, default=PreviewConfig.threads, help="CPU threads.  [default: all]"
)
@click.option("--codec", help="Codec of the results, as for vsrc infer; it changes time and size.")
@click.option("--crf", type=int, help="Constant quality, lower is better.")
@click.option("--preset", help="Preset of the encoder.")
@click.option(
    "--fps",
    type=float,
    default=PreviewConfig.fps,
    show_default=True,
    help="Frame rate of image sequences, frames/s.",
)
@media_options
@click.option(
    "--allow-hdr", is_flag=True, help="Upscale HDR without tone mapping, as if it were SDR."
)
@click.option("--deinterlace", is_flag=True, help="Deinterlace first (bwdif).")
@click.option("--overwrite", is_flag=True, help="Replace an existing page.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
def preview_command(
    video: str,
    models: tuple[Path, ...],
    start: str | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Compare models on an excerpt of VIDEO before a long run.

    The page has a slider between Lanczos and each model, and the time that each would take for
    the whole video.
    """
    from vsrc.runtime.candidates.preview_text import preview_text
    from vsrc.runtime.candidates.previewing import preview

    packages = tuple(packaged(model, dict(NOTHING_TOLD)) for model in models)
    config = PreviewConfig(
        video=resolve_input(video),
        models=packages,
        names=tuple(_name(*pair) for pair in zip(models, packages, strict=True)),
        start=None if start is None else parse_seconds(start),
        **options,
    )
    with StatusLine() as status:
        result = preview(
            config,
            progress=lambda now: status(
                f"{now.label} ({now.index} of {now.count}):", f"frame {now.done} of {now.frames}"
            ),
        )
    if as_json:
        echo_json(result)
        return
    echo(preview_text(quoted(result)))


def _name(model: Path, package: Path) -> str:
    """Model as typed, or the name of a shipped one."""
    from vsrc.runtime.shipped_models import typed_name

    return typed_name(package) if model == package else str(model)
