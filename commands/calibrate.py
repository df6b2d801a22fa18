"""`vsrc calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsrc.calibration.calibration_config import METHODS, CalibrationConfig
from vsrc.commands.json_output import echo_json
from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.model_argument import MODEL
from vsrc.commands.options.option_groups import GroupedCommand
from vsrc.commands.options.own_network import (
    NETWORK_GROUP,
    NETWORK_OPTIONS,
    output_option,
    own_network_options,
    take_told,
    writable,
)
from vsrc.commands.options.sample_input import resolve_inputs
from vsrc.commands.progress.calibration_bar import CalibrationBar
from vsrc.commands.text_output import echo, echo_line
from vsrc.runtime.text.quoting import quoted

_GROUPS = {
    "Calibration": (
        *("--method", "--windows", "--percentile", "--seed", "--sensitivity", "--min-psnr"),
        *("--float-layer", "--threads"),
    ),
    "Input and output": (
        *("--output", "--overwrite", "--json", "--allow-network", "--allow-playlist"),
    ),
    NETWORK_GROUP: NETWORK_OPTIONS,
}


@click.command("calibrate", cls=GroupedCommand, groups=_GROUPS)
@click.argument("model", type=MODEL)
@click.argument("clips", nargs=-1, metavar="VIDEO|DIR...", callback=resolve_inputs)
@output_option
@own_network_options
@click.option(
    "--method",
    type=click.Choice(METHODS),
    default=CalibrationConfig.method,
    show_default=True,
    help="How ranges are computed from the observed values.",
)
@click.option(
    "--windows",
    type=int,
    default=CalibrationConfig.windows,
    show_default=True,
    help="Number of windows, drawn across scenes, motion and brightness.",
)
@click.option(
    "--percentile",
    type=float,
    default=CalibrationConfig.percentile,
    show_default=True,
    help="Percentage of values inside the range, for --method percentile.",
)
@click.option("--sensitivity", is_flag=True, help="Measure the loss of each convolution alone.")
@click.option(
    "--min-psnr",
    type=float,
    default=CalibrationConfig.min_psnr,
    show_default=True,
    help="Required PSNR against fp32, dB; if missed, the fewest layers stay float.",
)
@click.option(
    "--float-layer",
    "float_layers",
    multiple=True,
    metavar="NAME",
    help="Convolution that stays float; may be repeated.",
)
@click.option(
    "--seed", type=int, default=CalibrationConfig.seed, help="Seed of the draw.  [default: 0]"
)
@click.option(
    "--threads", type=int, default=CalibrationConfig.threads, help="CPU threads.  [default: all]"
)
@click.option("--overwrite", is_flag=True, help="Replace an existing calibration.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
@media_options
def calibrate_command(
    model: Path,
    output: Path | None,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Calibrate MODEL for INT8 on low-resolution clips.

    The clips should be like those that the network will upscale. The ranges of its activations are
    stored in the package, for vsrc export --precision int8 and int8-cpu. They are measured on the
    fp32 graph, which is written first if there is none.

    MODEL may also be a shipped model, with -o, or a network without a package; see vsrc export.
    """
    from vsrc.calibration.calibrating import calibrate, replacing_measured
    from vsrc.calibration.calibration_text import calibration_text
    from vsrc.export.packing.place import open_made
    from vsrc.runtime.package import advised_export
    from vsrc.runtime.sample import typed_input
    from vsrc.runtime.text.count_text import count_text

    told = take_told(options)
    CalibrationConfig(package=model, **options)  # checks the options before anything is written
    place = writable(model, output, told, verb="calibrate")
    package = place.path
    config = CalibrationConfig(package=package, **options)
    if place.is_new:
        config = replacing_measured(config)
    clips = " ".join(map(typed_input, config.clips))
    headline = f"{package}: {count_text(config.windows, 'window')} of {clips}"
    with open_made(place), CalibrationBar(headline) as bar:
        _add_fp32(config)
        result = calibrate(config, progress=bar)
    for note in result.calibration.notes:
        echo_line(f"warning: {note}", err=True)
    if as_json:
        echo_json(result)
        return
    echo(calibration_text(quoted(result)))
    echo_line(f"next: {advised_export(package, '--precision int8')}", err=True)


def _add_fp32(config: CalibrationConfig) -> None:
    """Write the graph that is calibrated, if the package has none."""
    from vsrc.calibration.calibrating import require_packages
    from vsrc.calibration.scenes import lr_sources
    from vsrc.runtime.errors import MediaError
    from vsrc.runtime.package import open_package
    from vsrc.runtime.text.missing_path import describe_missing

    require_packages()
    package = open_package(config.package)
    if "fp32" in package.spec.graphs:
        return
    for source in lr_sources(config.clips, degradation=package.spec.degradation):
        if not source.files[0].exists():
            raise MediaError(describe_missing(source.files[0]))
    from vsrc.export.config import ExportConfig
    from vsrc.export.runs.exporting import export

    echo_line(f"{package.path}: writing the fp32 graph", err=True)
    export(ExportConfig(config.package, precision="fp32"))
