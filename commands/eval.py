"""`vsrc eval`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.options.device_argument import device_option
from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.model_argument import MODEL
from vsrc.commands.options.option_groups import GroupedCommand
from vsrc.commands.options.own_network import (
    NETWORK_GROUP,
    NETWORK_OPTIONS,
    own_network_options,
    packaged,
    take_told,
)
from vsrc.commands.options.sample_input import InputPath
from vsrc.commands.options.trust_options import allow_code_option
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo, echo_line
from vsrc.runtime.quality.eval_config import METRICS, EvalConfig
from vsrc.runtime.text.quoting import quoted

_GROUPS = {
    "What to measure": (
        *("--data", "--metrics", "--degradation", "--border", "--frames", "--lpips-vgg"),
        *("--lpips-heads", "--allow-network", "--allow-playlist"),
    ),
    "Model": ("--backend", "--precision", "--device", "--threads", "--allow-code"),
    NETWORK_GROUP: NETWORK_OPTIONS,
}


@click.command("eval", cls=GroupedCommand, groups=_GROUPS)
@click.argument("models", nargs=-1, metavar="[MODEL]...", type=MODEL)
@own_network_options
@click.option("--data", required=True, type=InputPath(), help="Folder of clips.")
@click.option(
    "--metrics",
    default=",".join(EvalConfig.metrics),
    show_default=True,
    help=f"Comma-separated list of {', '.join(METRICS)}.",
)
@click.option(
    "--degradation",
    type=click.Choice(["auto", "bi", "bd", "given"]),
    default=EvalConfig.degradation,
    show_default=True,
    help="How LR is made; auto uses LR files if the data has them.",
)
@click.option(
    "--border", type=int, help="Pixels cropped at each edge.  [default: 0; stills: scale]"
)
@click.option(
    "--frames",
    type=int,
    default=EvalConfig.frames,
    help="Maximum number of frames of a clip.  [default: all]",
)
@click.option(
    "--backend", default=EvalConfig.backend, show_default=True, help="Backend; see vsrc infer."
)
@click.option(
    "--precision",
    default=EvalConfig.precision,
    show_default=True,
    help="Graph to run, by its precision.",
)
@device_option
@click.option(
    "--threads", type=int, default=EvalConfig.threads, help="CPU threads.  [default: all]"
)
@click.option(
    "--lpips-vgg",
    type=click.Path(path_type=Path),
    help="VGG16 checkpoint of torchvision, for lpips.",
)
@click.option(
    "--lpips-heads", type=click.Path(path_type=Path), help="Weights of LPIPS 0.1, for lpips."
)
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
@media_options
@allow_code_option
def eval_command(metrics: str, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Measure the quality of models against ground truth.

    Clips are downscaled (or their LR files are read), upscaled by each model and by bicubic, and
    scored.
    Without MODEL the model that ships is evaluated.
    """
    from vsrc.runtime.quality.eval_report import eval_text
    from vsrc.runtime.quality.evaluation import evaluate

    told = take_told(options)
    options["models"] = tuple(packaged(model, told) for model in options["models"])
    config = EvalConfig(metrics=tuple(metrics.split(",")), **options)
    extra = {}
    if "lpips" in config.metrics:
        from vsrc.runtime.installation import require_installed

        require_installed("the metric lpips", "torch", "safetensors", extra="eval")
        from vsrc.compressor.lpips import lpips_kind

        extra["lpips"] = lpips_kind(config.lpips_vgg, config.lpips_heads)
    with StatusLine() as status:
        report = evaluate(
            config,
            extra=extra,
            progress=lambda now: status(f"{now.model}:", str(now)),
        )
    for warning in report.warnings:
        echo_line(f"warning: {warning}", err=True)
    if as_json:
        echo_json(report)
        return
    echo(eval_text(quoted(report)))
