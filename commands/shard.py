"""`vsrc shard`."""

from __future__ import annotations

from pathlib import Path

import click

from vsrc.commands.media_options import media_options
from vsrc.commands.text_output import echo_line
from vsrc.compressor.shard_config import ShardConfig


@click.command("shard")
@click.option("--data", multiple=True, required=True, help="Folder of videos or frames.")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder.")
@click.option("--teacher", "teachers", multiple=True, help="Name, package, or module:function.")
@click.option("--teacher-weights", multiple=True, help="Its checkpoint; one for each teacher.")
@click.option(
    "--teacher-arguments",
    multiple=True,
    metavar="YAML",
    help='Of its constructor, as "{both_directions: true}"; one for each teacher.',
)
@click.option("--mix", multiple=True, type=float, help="Share of each teacher.  [default: equal]")
@click.option("--crops", type=int, help=f"How many.  [default: {ShardConfig.crops}]")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@media_options
def shard_command(settings: tuple[str, ...], **options: object) -> None:
    """Cut crops of clips into shards, with the teachers' mean picture of each.

    `vsrc distill --teacher-cache FOLDER` learns from them at the speed of reading. The same command
    again goes on where it stopped; several processes may run it at once.
    """
    from vsrc.runtime.installation import require_installed

    require_installed("vsrc shard", "torch", "safetensors", "yaml", extra="compress")
    from vsrc.commands.shard_bar import ShardBar
    from vsrc.compressor.shard import shard
    from vsrc.compressor.shard_recipe import read_shard_config

    given = {key: value for key, value in options.items() if value not in (None, ())}
    config = read_shard_config(given, settings=settings)
    echo_line(shard(config, report=ShardBar()))
