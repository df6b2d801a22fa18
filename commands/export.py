"""`vsrc export`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vsrc.commands.device_argument import device_option
from vsrc.commands.json_output import echo_json
from vsrc.commands.media_options import media_options
from vsrc.commands.model_argument import MODEL
from vsrc.commands.own_network import (
    output_option,
    own_network_options,
    take_told,
    writable,
)
from vsrc.commands.shape_option import read_shapes
from vsrc.commands.status_line import StatusLine
from vsrc.commands.text_output import echo, echo_line
from vsrc.export.config import (
    FORMATS,
    PRECISIONS,
    AskedPrecision,
    ExportConfig,
    Format,
)
from vsrc.runtime.output_guard import PlannedOutput, check_outputs, model_files
from vsrc.runtime.quoting import quoted
from vsrc.runtime.spec import GraphIo, GraphLayout

if TYPE_CHECKING:
    from vsrc.export.runs.result import ExportResult


@click.command("export")
@click.argument("model", type=MODEL)
@output_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default=ExportConfig.format,
    show_default=True,
    help="Graphs, or an engine of TensorRT (for this GPU) or TensorRT for RTX (for any, no GPU).",
)
@click.option(
    "--precision",
    type=click.Choice([*PRECISIONS, "auto"]),
    default=ExportConfig.precision,
    show_default=True,
    help="Arithmetic inside; auto writes and measures all, and says which pays.",
)
@click.option(
    "--io",
    type=click.Choice(["uint8", "float"]),
    default=ExportConfig.io,
    show_default=True,
    help="Pictures, or float tensors in [0, 1].",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "window", "stacked"]),
    default=ExportConfig.layout,
    show_default=True,
    help="With --io float: (N, T, 3, H, W), or frames stacked in the channels, (N, 3T, H, W); auto "
    "stacks the one frame of an image network.",
)
@click.option(
    "--shape",
    default="",
    metavar="HxW[,HxW,HxW]",
    help="LR size: one fixes it, three are least, usual, largest. Default: any size.",
)
@click.option("--opset", type=int, default=ExportConfig.opset, show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace what has the same name.")
@click.option(
    "--halves/--no-halves",
    default=ExportConfig.halves,
    show_default=True,
    help="Also the encode and fuse graphs of a network that has them.",
)
@click.option(
    "--calib",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="CLIPS",
    help="Find the ranges of int8 on these videos or folders first; may be repeated.",
)
@click.option(
    "--int8-with",
    type=click.Choice(["fp16", "fp32"]),
    default=ExportConfig.int8_with,
    show_default=True,
    help="What computes beside int8; fp32 for TensorRT 8.6.",
)
@click.option(
    "--quantizer",
    type=click.Choice(["vsrc", "modelopt"]),
    default=ExportConfig.quantizer,
    show_default=True,
    help="What writes int8; modelopt is NVIDIA's, if it is installed, and needs --calib.",
)
@click.option(
    "--min-psnr",
    type=float,
    metavar="DB",
    help="Least agreement with torch.  [default: fp32 90, fp16 50, int8 40]",
)
@click.option(
    "--max-loss",
    type=float,
    metavar="DB",
    default=ExportConfig.max_loss,
    show_default=True,
    help="int8: most that may be lost against ground truth, where frames have it.",
)
@click.option("--allow-lossy", is_flag=True, help="Keep what misses these limits, and mark it.")
@click.option(
    "--gpu",
    "gpus",
    multiple=True,
    metavar="X.Y",
    help="trt-rtx: compute capability to build for, as 8.9; repeatable. Default: 8.0 and newer.",
)
@device_option
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path, dir_okay=False),
    help="trt: file of measurements that is read and added to.",
)
@click.option(
    "--workspace",
    "workspace_mib",
    type=click.IntRange(min=1),
    metavar="MIB",
    help="trt: most memory of the build. Default: most of what is free.",
)
@click.option(
    "--allow-code",
    is_flag=True,
    help="Trust a package whose network is a module:function: its code is run.",
)
@own_network_options
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
@media_options
def export_command(
    model: Path,
    output: Path | None,
    format_: Format,
    precision: AskedPrecision,
    io: GraphIo,
    layout: GraphLayout | Literal["auto"],
    shape: str,
    opset: int,
    overwrite: bool,
    halves: bool,
    calib: tuple[Path, ...],
    int8_with: Literal["fp16", "fp32"],
    quantizer: Literal["vsrc", "modelopt"],
    min_psnr: float | None,
    max_loss: float,
    allow_lossy: bool,
    gpus: tuple[str, ...],
    device: int,
    timing_cache: Path | None,
    workspace_mib: int | None,
    allow_code: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Add graphs or engines to the package MODEL, checked against torch on real frames.

    MODEL may also be a shipped name, with -o, or a network that is no package: a checkpoint, an
    ONNX graph, or module:function with --weights. Its package is then written first.
    """
    from vsrc.export.runs.result import ExportResult

    told = take_told(options)
    if timing_cache is not None:
        _check_timing_cache(timing_cache, [*model_files(model, told["weights"]), *calib])
    config = ExportConfig(
        package=model,
        format=format_,
        precision=precision,
        io=io,
        layout=layout,
        shape=read_shapes(shape) if shape else (),
        opset=opset,
        overwrite=overwrite,
        halves=halves,
        calib=calib,
        int8_with=int8_with,
        quantizer=quantizer,
        min_psnr=min_psnr,
        max_loss=max_loss,
        allow_lossy=allow_lossy,
        gpus=gpus,
        device=device,
        timing_cache=timing_cache,
        workspace_mib=workspace_mib,
        allow_code=allow_code,
    )
    place = writable(model, output, told, verb="export")
    is_typed = any(":" in str(name) for name in (model, told["network"]) if name is not None)
    config = replace(config, package=place.path, allow_code=allow_code or is_typed)
    if place.words and _is_there(config):
        result = ExportResult((), {})
    else:
        # Nothing of the user's is lost in a package that was written just now.
        result = _export(replace(config, overwrite=overwrite or bool(place.words)))
    if as_json:
        echo_json(result)
    else:
        _show(result, place.path)


def _check_timing_cache(path: Path, inputs: list[Path]) -> None:
    """Raise if adding to the cache would change an input; one that exists is added to."""
    output = PlannedOutput(path, "--timing-cache", is_ours=lambda _path: True)
    check_outputs([output], inputs=inputs)


def _export(config: ExportConfig) -> ExportResult:
    from vsrc.export.runs.exporting import export
    from vsrc.export.runs.stopped import open_stoppable

    with StatusLine() as show, open_stoppable(config):
        return export(config, lambda step: show(step.words, _count(step.done, step.total)))


def _is_there(config: ExportConfig) -> bool:
    """Whether a package that was written just now has what the plain command would add."""
    from vsrc.export.graphs.graph_name import graph_name
    from vsrc.runtime.package import open_package

    plain = ExportConfig(config.package, precision=config.precision)
    if config.precision == "auto" or replace(config, allow_code=False, overwrite=False) != plain:
        return False
    return graph_name(config.precision) in open_package(config.package).spec.graphs


def _count(done: int, total: int) -> str:
    return f"({done + 1} of {total})" if total > 1 else ""


def _show(result: ExportResult, package: Path) -> None:
    from vsrc.export.runs.text import export_text

    if result.graphs or result.engines:
        echo(export_text(quoted(result), package))
    else:
        from vsrc.runtime.package import open_package

        echo_line(f"{package}: {', '.join(open_package(package).spec.graphs)}")
    if not result.engines and result.choice is None:  # its table ends with such a line
        command = shlex.join(["vsrc", "infer", "VIDEO", "-m", str(package), "-o", "OUT.mp4"])
        echo_line(f"next: {command}", err=True)
