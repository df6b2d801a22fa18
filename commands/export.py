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
@click.option("--overwrite", is_flag=True, help="Replace a graph of the same name.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
def export_command(
    package: Path,
    format_: Literal["onnx"],
    precision: Literal["fp32"],
    io: GraphIo,
    shape: str,
    opset: int,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Add an ONNX graph to PACKAGE, checked against torch on real frames."""
    from vsrc.export.graph_export import export

    config = ExportConfig(
        package=package,
        format=format_,
        precision=precision,
        io=io,
        shape=parse_shape(shape) if shape else (),
        opset=opset,
        overwrite=overwrite,
    )
    result = export(config)
    if as_json:
        echo_json(result)
        return
    worst = max(agreement.largest_difference for agreement in result.agreements)
    click.echo(f"{result.file}  {result.graph.size_bytes / 1e3:.0f} kB, {result.nodes} nodes")
    click.echo(f"differs from torch by at most {worst:g} of 255 on real frames", err=True)
    click.echo(f"next: vsrc infer VIDEO -m {package} -o OUT.mp4", err=True)
