"""Command line: parse, call one library function, print.

Results go to stdout, talk and progress to stderr. Exit status: 0 done, 1 failed, 2 usage, 3 the
environment lacks something, 4 a quality or latency gate was missed, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from vsrc import __version__
from vsrc.compressor.distill_config import DistillConfig
from vsrc.export.export_config import ExportConfig, parse_shape
from vsrc.runtime.spec import GraphIo


class _Main(click.Group):
    """Turns errors a user can mend into one line and an exit status, in this one place."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click declares it
        from vsrc.runtime.errors import VsrcError

        try:
            return super().invoke(ctx)
        except VsrcError as error:
            _fail(str(error), error.exit_status)
        except ValueError as error:
            _fail(str(error), 2)
        except (KeyboardInterrupt, click.Abort):
            _fail("interrupted", 130)
        except BrokenPipeError:
            _fail("the reader of this output went away", 1)
        except OSError as error:
            _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"vsrc: {' '.join(message.split())}", err=True)
    sys.exit(status)


def _echo_json(result: object) -> None:
    """Print a result dataclass as JSON on stdout."""
    from vsrc.runtime.schema import to_json

    click.echo(json.dumps(to_json(result), indent=2))


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsrc")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to stderr.")
def main(verbose: bool) -> None:
    """Compress, export and run video super-resolution networks on edge devices."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)


@main.command("export")
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
        _echo_json(result)
        return
    worst = max(agreement.largest_difference for agreement in result.agreements)
    click.echo(f"{result.file}  {result.graph.size_bytes / 1e3:.0f} kB, {result.nodes} nodes")
    click.echo(f"differs from torch by at most {worst:g} of 255 on real frames", err=True)
    click.echo(f"next: vsrc infer VIDEO -m {package} -o OUT.mp4", err=True)
