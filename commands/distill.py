"""`vsrc distill`."""

from __future__ import annotations

import logging
import shlex
import sys
from contextlib import nullcontext
from pathlib import Path

import click

from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.option_groups import GroupedCommand
from vsrc.commands.options.sample_input import OutputPath, resolve_inputs
from vsrc.commands.options.shape_option import read_shapes
from vsrc.commands.progress.training_bar import TrainingBar
from vsrc.commands.text_output import echo, echo_line
from vsrc.compressor.training.config import OBJECTIVE_NAMES, DistillConfig
from vsrc.runtime.text.quoting import quoted

_GROUPS = {
    "Networks": ("--student", "--teacher", "--teacher-weights", "--teacher-cache", "--allow-code"),
    "Training": (
        *("--data", "--objective", "--steps", "--recipe", "--set", "--allow-network"),
        "--allow-playlist",
    ),
    "Latency target": ("--target-latency", "--shape", "--device-profile"),
    "Run": ("--output", "--run-dir", "--resume", "--overwrite", "--dry-run"),
}


@click.command("distill", cls=GroupedCommand, groups=_GROUPS)
@click.option("--teacher", help="Name, package, module:function or spandrel:FILE.")
@click.option(
    "--teacher-weights", type=click.Path(path_type=Path), help="Checkpoint of the teacher."
)
@click.option(
    "--teacher-cache",
    type=click.Path(path_type=Path),
    help="Folder written by vsrc shard, instead of --data and --teacher.",
)
@click.option(
    "--student", help=f"Name, package or module:function.  [default: {DistillConfig.student}]"
)
@click.option(
    "--data",
    multiple=True,
    callback=resolve_inputs,
    help="Folder of videos or frames, or a video; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=OutputPath(),
    help=f"Package to write.  [default: {DistillConfig.output}]",
)
@click.option(
    "--objective",
    help=f"{', '.join(OBJECTIVE_NAMES)}, or module:function; several joined by +.  "
    f"[default: {DistillConfig.objective}]",
)
@click.option(
    "--recipe",
    type=click.Path(path_type=Path),
    metavar="FILE|NAME",
    help="YAML file of settings, or the name of a recipe that ships.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="Any setting of docs/settings.md; may be repeated.",
)
@click.option(
    "--steps", type=int, help=f"Number of weight updates.  [default: {DistillConfig.steps}]"
)
@click.option(
    "--target-latency",
    "target_latency_ms",
    type=float,
    metavar="MS",
    help="Train the largest edge student that upscales a frame within this time.",
)
@click.option(
    "--shape",
    "target_shape",
    metavar="HxW",
    callback=lambda _context, _option, text: _lr_size(text),
    help="LR frame size of --target-latency.",
)
@click.option(
    "--device-profile",
    metavar="FILE",
    help="Latency profile of the device, written by vsrc bench --profile.",
)
@click.option("--run-dir", help="Folder of checkpoints and logs.  [default: OUTPUT.run]")
@click.option("--resume", is_flag=True, default=None, help="Resume from the last checkpoint.")
@click.option("--overwrite", is_flag=True, default=None, help="Replace an existing package.")
@click.option(
    "--allow-code",
    is_flag=True,
    default=None,
    help="Allow recipes and packages that name a module:function to run its code.",
)
@click.option("--dry-run", is_flag=True, help="Estimate sizes, memory and time without training.")
@media_options
def distill_command(
    recipe: Path | None, settings: tuple[str, ...], dry_run: bool, **options: object
) -> None:
    """Train a student network from a teacher and clips."""
    from vsrc.compressor.training.config import TRAINING_MODULES
    from vsrc.runtime.installation import require_installed

    require_installed("vsrc distill", *TRAINING_MODULES, extra="compress")
    from vsrc.compressor.distill import distill
    from vsrc.compressor.latency_target import resolve_target
    from vsrc.compressor.plan import plan
    from vsrc.compressor.recipe import find_code, read_recipe
    from vsrc.compressor.training.processes import end_together, process_rank
    from vsrc.runtime.package import advised_export

    given = {key: value for key, value in options.items() if value not in (None, ())}
    if (code := find_code(recipe, settings=settings, options=given)) and not given.get(
        "allow_code"
    ):
        _refuse_code(recipe, code, dry_run=dry_run)
        return
    config, choice = resolve_target(read_recipe(recipe, settings=settings, options=given))
    first = process_rank() == 0
    if not first:  # of several processes only one talks
        logging.getLogger("vsrc").setLevel(logging.ERROR)
    if choice is not None and first:
        echo(quoted(choice).text(), err=True)
    if dry_run:
        echo(quoted(plan(config)).text())
        return
    command = shlex.join(["vsrc", *sys.argv[1:]])
    with TrainingBar() if first else nullcontext() as bar, end_together():
        announce = None if bar is None else bar.announce
        path = distill(config, report=bar, announce=announce, command=command)
    if first:
        echo_line(path)
        echo_line(f"next: {advised_export(path, '--format onnx')}", err=True)


def _refuse_code(recipe: Path | None, code: dict[str, str], *, dry_run: bool) -> None:
    """Show the code that a recipe names; an error, unless nothing was to be run.

    Raises:
        SpecError: A run was asked for.
    """
    from vsrc.runtime.errors import SpecError

    for field, name in code.items():
        echo_line(f"{field:<9}  {name}, which is code; it is not run", err=not dry_run)
    if not dry_run:
        raise SpecError(
            f"{recipe} names code ({', '.join(code.values())}), which would be run; add "
            "--allow-code if you trust it, or type the name on the command line"
        )


def _lr_size(text: str | None) -> list[int] | None:
    """Parse `180x320` to `[180, 320]`."""
    if text is None:
        return None
    sizes = read_shapes(text)
    if len(sizes) != 1:
        raise ValueError(f"--shape {text} holds {len(sizes)} sizes; a latency is meant for one")
    return list(sizes[0])
