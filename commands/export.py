"""`vsrc export`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from vsrc.commands.json_output import echo_json
from vsrc.export.export_config import ExportConfig, parse_shape
from vsrc.runtime.spec import GraphIo


@click.command("export")
@click.argument("package", type=click.Path(path_type=Path))
@click.option("--format", "format_", type=click.Choice(["onnx"]), default=ExportConfig.format)
@click.option("--precision", type=click.Choice(["fp32"]), default=ExportConfig.precision)
@click.option(
    "--io",
    type=click.Choice(["uint8", "float"]),
    default=ExportConfig.io,
    show_default=True,
    help="Pictures, or float tensors in [0, 1].",
)
@click.option(
    "--shape",
    default="",
    metavar="HxW[,HxW,HxW]",
    help="LR size: one fixes it, three are least, usual, largest. Default: any size.",
)
@click.option("--opset", type=int, default=ExportConfig.opset, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace graphs of the same name.")
@click.option(
    "--halves/--no-halves",
    default=ExportConfig.halves,
    show_default=True,
    help="Also the encode and fuse graphs of a network that has them.",
)
@click.option(
    "--allow-code",
    is_flag=True,
    help="Trust a package whose network is a module:function: its code is run.",
)
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
def export_command(
    package: Path,
    format_: Literal["onnx"],
    precision: Literal["fp32"],
    io: GraphIo,
    shape: str,
    opset: int,
    overwrite: bool,
    halves: bool,
    allow_code: bool,
    as_json: bool,
) -> None:
    """Add ONNX graphs to PACKAGE, checked against torch on real frames."""
    from vsrc.export.graph_export import export

    config = ExportConfig(
        package=package,
        format=format_,
        precision=precision,
        io=io,
        shape=parse_shape(shape) if shape else (),
        opset=opset,
        overwrite=overwrite,
        halves=halves,
        allow_code=allow_code,
    )
    result = export(config)
    if as_json:
        echo_json(result)
        return
    for one in result.graphs:
        click.echo(f"{one.file}  {one.graph.size_bytes / 1e3:.0f} kB, {one.nodes} nodes")
    worst = result.largest_difference
    click.echo(f"differs from torch by at most {worst:g} of 255 on real frames", err=True)
    click.echo(f"next: vsrc infer VIDEO -m {package} -o OUT.mp4", err=True)
