"""`vsrc export`."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.options.device_argument import device_option
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
from vsrc.commands.options.sample_input import InputPath
from vsrc.commands.options.shape_option import graph_shape_option
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo, echo_line
from vsrc.export.config import (
    FORMATS,
    PRECISIONS,
    AskedPrecision,
    ExportConfig,
    Format,
)
from vsrc.runtime.output_guard import PlannedOutput, check_outputs, model_files
from vsrc.runtime.spec import GraphIo, GraphLayout
from vsrc.runtime.text.quoting import quoted

if TYPE_CHECKING:
    from vsrc.export.runs.result import ExportResult


_CACHE_SUFFIXES = frozenset((".cache", ".timing"))
"""Suffixes of files that `--timing-cache` replaces without `--overwrite`."""

_GROUPS = {
    "What to write": (
        *("--output", "--format", "--precision", "--io", "--layout", "--shape", "--opset"),
        *("--halves", "--overwrite", "--allow-code", "--json"),
    ),
    "INT8": (*("--calib", "--int8-with", "--quantizer", "--allow-network", "--allow-playlist"),),
    "Check": ("--min-psnr", "--max-loss", "--allow-lossy"),
    "TensorRT": ("--device", "--gpu", "--timing-cache", "--workspace", "--video"),
    NETWORK_GROUP: NETWORK_OPTIONS,
}


@click.command("export", cls=GroupedCommand, groups=_GROUPS)
@click.argument("model", type=MODEL)
@output_option
@click.option(
    "--format",
    "format_",
    type=click.Choice(FORMATS),
    default=ExportConfig.format,
    show_default=True,
    help="ONNX graphs, or an engine: trt for this GPU, trt-rtx for any RTX GPU (none needed here).",
)
@click.option(
    "--precision",
    type=click.Choice([*PRECISIONS, "auto"]),
    default=ExportConfig.precision,
    show_default=True,
    help="Precision of the graph; auto writes and times all, and recommends one.",
)
@click.option(
    "--io",
    type=click.Choice(["uint8", "float"]),
    default=ExportConfig.io,
    show_default=True,
    help="Inputs and outputs: uint8 images, or float tensors in [0, 1].",
)
@click.option(
    "--layout",
    type=click.Choice(["auto", "window", "stacked"]),
    default=ExportConfig.layout,
    show_default=True,
    help="With --io float: window is (N, T, 3, H, W), stacked (N, 3T, H, W); auto is stacked for "
    "image networks.",
)
@graph_shape_option
@click.option(
    "--opset", type=int, default=ExportConfig.opset, show_default=True, help="ONNX opset."
)
@click.option("--overwrite", is_flag=True, help="Replace existing graphs and engines.")
@click.option(
    "--halves/--no-halves",
    default=ExportConfig.halves,
    show_default=True,
    help="Also write the encode and fuse graphs of networks that have them.",
)
@click.option(
    "--calib",
    multiple=True,
    type=InputPath(),
    metavar="CLIPS",
    help="Calibrate on these LR videos or folders first; may be repeated.",
)
@click.option(
    "--int8-with",
    type=click.Choice(["fp16", "fp32"]),
    default=ExportConfig.int8_with,
    show_default=True,
    help="Precision of the float layers of int8 graphs; fp32 for TensorRT 8.6.",
)
@click.option(
    "--quantizer",
    type=click.Choice(["vsrc", "modelopt"]),
    default=ExportConfig.quantizer,
    show_default=True,
    help="Quantizer; modelopt is NVIDIA's, must be installed, and needs --calib.",
)
@click.option(
    "--min-psnr",
    type=float,
    metavar="DB",
    help="Required PSNR against torch, dB.  [default: fp32 90, fp16 50, int8 40]",
)
@click.option(
    "--max-loss",
    type=float,
    metavar="DB",
    default=ExportConfig.max_loss,
    show_default=True,
    help="int8: maximum loss of PSNR against ground truth, where available.",
)
@click.option(
    "--allow-lossy", is_flag=True, help="Keep graphs that miss these limits, marked as lossy."
)
@click.option(
    "--gpu",
    "gpus",
    multiple=True,
    metavar="X.Y",
    help="trt-rtx: compute capability to build for, repeatable.  [default: 8.0 and newer]",
)
@device_option
@click.option(
    "--timing-cache",
    type=click.Path(path_type=Path, dir_okay=False),
    help="trt: timing cache, read and updated.",
)
@click.option(
    "--workspace",
    "workspace_mib",
    type=click.IntRange(min=1),
    metavar="MIB",
    help="trt: memory limit of the builder, MiB.  [default: most of the free memory]",
)
@click.option(
    "--video",
    is_flag=True,
    help="trt, trt-rtx: also build what keeps frames on the GPU from NVDEC to NVENC "
    "(infer --hwaccel cuda --codec nvenc).",
)
@click.option(
    "--allow-code",
    is_flag=True,
    help="Allow a package whose network is a module:function to run its code.",
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
    shape: tuple[tuple[int, int], ...],
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
    video: bool,
    allow_code: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Export MODEL to ONNX graphs or TensorRT engines.

    Each graph is compared with torch on real frames and written only if it agrees. MODEL is a
    package, a shipped model (with -o), a checkpoint, an ONNX graph, or module:function with
    --weights; what is not a package is packed first.
    """
    from vsrc.export.runs.result import ExportResult

    told = take_told(options)
    if timing_cache is not None:
        inputs = [*model_files(model, told["weights"]), *calib]
        _check_timing_cache(timing_cache, inputs, overwrite=overwrite)
    config = ExportConfig(
        package=model,
        format=format_,
        precision=precision,
        io=io,
        layout=layout,
        shape=shape,
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
        video=video,
        allow_code=allow_code,
    )
    from vsrc.export.packing.place import open_made

    place = writable(model, output, told, verb="export")
    is_typed = any(":" in str(name) for name in (model, told["network"]) if name is not None)
    config = replace(config, package=place.path, allow_code=allow_code or is_typed)
    if place.is_new and _is_there(config):
        result = ExportResult((), {})
    else:
        with open_made(place):
            result = _export(replace(config, overwrite=overwrite or place.is_new))
    if as_json:
        echo_json(result)
    else:
        _show(result, place.path)


def _check_timing_cache(path: Path, inputs: list[Path], *, overwrite: bool) -> None:
    """Raise if the cache would replace an input, or a file that is not called like a cache."""
    output = PlannedOutput(path, "--timing-cache", is_ours=_may_be_timing_cache)
    check_outputs([output], inputs=inputs, overwrite=overwrite)


def _may_be_timing_cache(path: Path) -> bool:
    """Whether a file is added to; TensorRT says of others only that it cannot use them."""
    return path.suffix.lower() in _CACHE_SUFFIXES or path.stat().st_size == 0


def _export(config: ExportConfig) -> ExportResult:
    with StatusLine() as show:
        format_ = "ONNX" if config.format == "onnx" else config.format
        precision = "all precisions" if config.precision == "auto" else config.precision
        show(f"{config.package}: export to {format_}, {precision}")  # before torch is imported
        from vsrc.export.runs.exporting import export
        from vsrc.export.runs.stopped import open_stoppable

        with open_stoppable(config):
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

    if result.graphs or result.engines or result.kept:
        echo(export_text(quoted(result), package))
    else:
        from vsrc.runtime.package import open_package

        echo_line(f"{package}: {', '.join(open_package(package).spec.graphs)}")
    if not result.engines and result.choice is None:  # its table ends with such a line
        command = shlex.join(["vsrc", "infer", "VIDEO", "-m", str(package), "-o", "OUT.mp4"])
        echo_line(f"next: {command}", err=True)
