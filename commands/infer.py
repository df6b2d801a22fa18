"""`vsrc infer`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrc.commands.json_output import echo_json
from vsrc.commands.options.device_argument import device_option
from vsrc.commands.options.media_options import media_options
from vsrc.commands.options.model_argument import MODEL
from vsrc.commands.options.option_groups import GroupedCommand
from vsrc.commands.options.own_network import (
    own_network_options,
    packaged,
    require_model,
    take_told,
)
from vsrc.commands.options.sample_input import OutputPath, resolve_input
from vsrc.commands.options.trust_options import allow_code_option
from vsrc.commands.progress.infer_bar import InferBar
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo, echo_line
from vsrc.runtime.jobs.config import AUDIO_MODES, HWACCELS, InferConfig, parse_seconds

if TYPE_CHECKING:
    from vsrc.runtime.jobs.result import InferResult


_GROUPS = {
    "What to upscale": (
        *("--start", "--frames", "--fps", "--deinterlace", "--allow-hdr", "--cuts"),
        *("--allow-network", "--allow-playlist"),
    ),
    "Model": (
        *("--model", "--precision", "--network", "--weights", "--scale", "--window", "--range"),
        *("--colour", "--allow-code"),
    ),
    "Machine": (
        *("--backend", "--device", "--hwaccel", "--threads", "--batch", "--tile", "--shard"),
        "--ray",
    ),
    "Result": (
        *("--output", "--codec", "--crf", "--preset", "--audio", "--overwrite", "--verify"),
        *("--dry-run", "--report", "--json"),
    ),
}


@click.command("infer", cls=GroupedCommand, groups=_GROUPS)
@click.argument("inputs", nargs=-1, required=True, metavar="VIDEO|DIR|GLOB|-...")
@click.option(
    "-m",
    "--model",
    type=MODEL,
    help="Package, shipped model (vsrc zoo), checkpoint, .onnx, or module:function.",
)
@own_network_options
@click.option(
    "-o",
    "--output",
    required=True,
    type=OutputPath(),
    help="Video, one.png, out/%08d.png, a folder for several inputs, or - for y4m.",
)
@click.option(
    "--backend",
    default=InferConfig.backend,
    show_default=True,
    help="auto, ort, openvino, ort-cuda, ort-tensorrt, trt, trt-rtx or ort:NAME.",
)
@click.option(
    "--precision",
    default=InferConfig.precision,
    show_default=True,
    help="Graph to run: fp32, fp16, int8, int8-cpu, or auto; bf16: fp32 in bfloat16.",
)
@device_option
@click.option(
    "--hwaccel",
    type=click.Choice(HWACCELS),
    default=InferConfig.hwaccel,
    help="Decoder: none (CPU), cuda (NVDEC), or auto.  "
    "[default: auto, which is none until vsrc selftest has passed on the GPU]",
)
@click.option(
    "--threads",
    type=int,
    default=InferConfig.threads,
    help="CPU threads.  [default: all, divided among windows by a short trial]",
)
@click.option(
    "--batch",
    type=int,
    default=InferConfig.batch,
    show_default=True,
    help="Number of windows in a batch.",
)
@click.option(
    "--tile", type=int, help="Tile size, LR pixels; 0 for whole frames.  [default: by free memory]"
)
@click.option(
    "--cuts/--no-cuts",
    default=InferConfig.cuts,
    help="Detect scene cuts, which windows do not cross.  [default: on]",
)
@click.option("--start", default="0", metavar="TIME", help="Start time: seconds or HH:MM:SS.")
@click.option("--frames", type=int, help="Number of frames to upscale.  [default: all]")
@click.option("--shard", metavar="I/N", help="Process the I-th of N shares of the work.")
@click.option(
    "--ray", "address", metavar="ADDRESS|auto", help="Distribute the work on a Ray cluster."
)
@click.option(
    "--codec",
    default=InferConfig.codec,
    help="x264, x265, av1, vp9, prores, ffv1, nvenc, or any FFmpeg encoder.  "
    "[default: x264; x265 above 8 bits, vp9 in .webm]",
)
@click.option("--crf", type=int, help="Constant quality, lower is better.  [default: 18 for x264]")
@click.option("--preset", help="Preset of the encoder.")
@click.option(
    "--audio",
    type=click.Choice(AUDIO_MODES),
    default=InferConfig.audio,
    show_default=True,
    help="Audio: copy (encode if the container cannot hold it), encode, or drop.",
)
@click.option(
    "--fps",
    type=float,
    default=InferConfig.fps,
    show_default=True,
    help="Frame rate of image sequences, frames/s.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option(
    "--verify",
    is_flag=True,
    help="On resume, compare sources by all bytes instead of time and samples.",
)
@click.option(
    "--allow-hdr", is_flag=True, help="Upscale HDR without tone mapping, as if it were SDR."
)
@click.option("--deinterlace", is_flag=True, help="Deinterlace first (bwdif).")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Print the plan and estimate time and memory; write nothing.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Write a report of time, memory and energy: HTML, or JSON for FILE.json.",
)
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
@media_options
@allow_code_option
def infer_command(
    inputs: tuple[str, ...],
    start: str,
    shard: str | None,
    address: str | None,
    report: Path | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Upscale videos and images.

    Audio, subtitles, chapters, metadata and timestamps are kept. Without -m a model that ships is
    selected for each source. An interrupted run is resumed by the same command. The input "sample"
    is the clip that comes with vsrc.
    """
    from vsrc.runtime.errors import MediaError
    from vsrc.runtime.jobs.share import parse_share

    told = take_told(options)
    require_model(options["model"], told)
    _check_models(options["model"], told["weights"], options["output"], report)
    if options["model"] is not None:
        options["model"] = packaged(options["model"], told)
    config = InferConfig(
        inputs=tuple(map(resolve_input, inputs)),
        start=parse_seconds(start),
        shard=parse_share(shard) if shard is not None else None,
        **options,
    )
    if dry_run:
        if address is not None or shard is not None or report is not None:
            raise click.UsageError("--dry-run takes no --ray, --shard or --report")
        _show_plan(config, as_json=as_json)
        return
    if address is not None and (shard is not None or report is not None or config.device):
        raise click.UsageError(
            "--ray distributes the work by itself: leave out --shard, --device and --report"
        )
    if as_json and str(config.output) == "-":
        raise click.UsageError(
            "-o - writes frames to stdout, where --json prints the result: give -o a file, or "
            "leave out --json"
        )
    with InferBar() as bar:
        result = _run_infer(config, bar, report, address)
    _show(result, bar, as_json=as_json, frames_on_stdout=str(config.output) == "-")
    if config.shard is not None and not (result.files or result.pieces or result.failures):
        from vsrc.runtime.jobs.unit import LEAST_PIECE

        echo_line(
            f"--shard {config.shard}: nothing to do, the other shards have all inputs; a video is "
            f"split between shards from {2 * LEAST_PIECE} frames on",
            err=True,
        )
    if result.failures:
        total = len(result.files) + len(result.failures) + len(result.pieces)
        raise MediaError(f"{len(result.failures)} of {total} inputs could not be upscaled")


def _check_models(
    model: Path | None, weights: Path | None, output: Path, report: Path | None
) -> None:
    """Raise if an output is a file of the model, before that is packed; the rest follows later."""
    from vsrc.runtime.media_access import is_url
    from vsrc.runtime.output_guard import PlannedOutput, check_outputs, model_files

    if is_url(output):
        return  # what is raised later says how ffmpeg sends it
    outputs = [
        PlannedOutput(output, "-o"),
        *([PlannedOutput(report, "--report")] if report else []),
    ]
    check_outputs(outputs, inputs=model_files(model, weights), overwrite=True)


def _show_plan(config: InferConfig, *, as_json: bool) -> None:
    from vsrc.runtime.decode.clip_layouts import describe_skipped
    from vsrc.runtime.errors import MediaError
    from vsrc.runtime.jobs.dry_run import estimate_run, format_estimate

    with StatusLine() as status:
        status("trying the network on frames of noise")
        estimate = estimate_run(config)
    if as_json:
        echo_json(estimate)
    else:
        echo("\n".join(format_estimate(estimate)))
    failures = [failure.error for failure in estimate.failures]
    for line in (*describe_skipped(estimate.skipped), *failures):
        echo_line(line, err=True)
    if failed := len(estimate.failures):
        total = failed + len(estimate.plans) + len(estimate.done)
        raise MediaError(f"{failed} of {total} inputs could not be upscaled")


def _show(result: InferResult, bar: InferBar, *, as_json: bool, frames_on_stdout: bool) -> None:
    from vsrc.runtime.decode.clip_layouts import describe_skipped

    if as_json and not frames_on_stdout:
        echo_json(result)
    for file in result.files:
        for note in file.notes:
            if note not in bar.shown:
                echo_line(f"{file.input}: {note}", err=True)
        if not as_json or frames_on_stdout:
            echo_line(file.line, err=frames_on_stdout)
    pieces = [piece.line for piece in result.pieces]
    failures = [failure.error for failure in result.failures]
    for line in (*pieces, *describe_skipped(result.skipped), *failures):
        echo_line(line, err=True)


def _run_infer(
    config: InferConfig, bar: InferBar, report: Path | None, address: str | None
) -> InferResult:
    from vsrc.runtime.jobs.cluster import infer_on_cluster
    from vsrc.runtime.jobs.infer_all import infer
    from vsrc.runtime.jobs.job_report import infer_with_report
    from vsrc.runtime.memory import give_frames_back
    from vsrc.runtime.output_guard import check_place

    give_frames_back()
    if address is not None:
        return infer_on_cluster(config, address, progress=bar.of_cluster)
    if report is None:
        return infer(config, progress=bar)
    check_place(report)
    return infer_with_report(config, report, progress=bar)
