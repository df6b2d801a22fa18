"""`vsrc pack`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.options.own_network import own_network_options, take_told
from vsrc.commands.options.sample_input import OutputPath
from vsrc.commands.options.shape_option import graph_shape_option
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo_line


@click.command("pack")
@click.argument("source", metavar="FILE|MODULE:FUNCTION|NAME")
@click.option(
    "-o",
    "--output",
    type=OutputPath(),
    help="Package to write.  [default: NAME.vsrc]",
)
@own_network_options
@graph_shape_option
@click.option("--overwrite", is_flag=True, help="Replace an existing package.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
def pack_command(
    source: str,
    output: Path | None,
    shape: tuple[tuple[int, int], ...],
    overwrite: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Make a package of a checkpoint, an ONNX graph or code.

    The network of a checkpoint is recognised by its tensors, with spandrel for networks that vsrc
    lacks; the inputs of a graph are determined by running it on a small image. The package holds an
    fp32 graph.
    """
    from vsrc.export.packing.config import OwnNetwork
    from vsrc.export.packing.packing import pack

    own = OwnNetwork(source, **take_told(options))
    output = output or Path(f"{own.stem}.vsrc")
    with StatusLine() as show:
        made = pack(
            own,
            output,
            overwrite=overwrite,
            shape=shape,
            command=shlex.join(["vsrc", *sys.argv[1:]]),
            progress=lambda step: show(step.words),
        )
    if as_json:
        echo_json(made)
        return
    echo_line(made.words)
    echo_line(f"{made.path}: {', '.join(made.graphs)}")
    command = shlex.join(["vsrc", "infer", "VIDEO", "-m", str(made.path), "-o", "OUT.mp4"])
    echo_line(f"next: {command}", err=True)
