"""`vsrc shard`."""

from __future__ import annotations

import click

from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.sample_input import OutputPath, resolve_inputs
from vsrc.commands.text_output import echo_line
from vsrc.compressor.shard_config import ShardConfig


@click.command("shard")
@click.option(
    "--data",
    multiple=True,
    required=True,
    callback=resolve_inputs,
    help="Folder of videos or frames, or a video; may be repeated.",
)
@click.option("-o", "--output", required=True, type=OutputPath(), help="Folder to write.")
@click.option("--teacher", "teachers", multiple=True, help="Name, package, or module:function.")
@click.option("--teacher-weights", multiple=True, help="Checkpoint of the teacher; one for each.")
@click.option(
    "--teacher-arguments",
    multiple=True,
    metavar="YAML",
    help='Constructor arguments, such as "{both_directions: true}"; one for each teacher.',
)
@click.option(
    "--mix", multiple=True, type=float, help="Weight of each teacher in the mean.  [default: equal]"
)
@click.option("--crops", type=int, help=f"Number of crops.  [default: {ShardConfig.crops}]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@media_options
def shard_command(settings: tuple[str, ...], **options: object) -> None:
    """Cut training crops and store the outputs of teachers.

    vsrc distill --teacher-cache FOLDER trains on them without running a teacher. The same command
    resumes an interrupted run; several processes may run it at once.
    """
    from vsrc.runtime.installation import require_installed

    require_installed("vsrc shard", "torch", "safetensors", "yaml", extra="compress")
    from vsrc.commands.progress.shard_bar import ShardBar
    from vsrc.compressor.shard import shard
    from vsrc.compressor.shard_recipe import read_shard_config

    given = {key: value for key, value in options.items() if value not in (None, ())}
    config = read_shard_config(given, settings=settings)
    echo_line(shard(config, report=ShardBar()))
