"""Command line: parse, call one library function, print.

Results go to stdout, talk and progress to stderr. Exit status: 0 done, 1 failed, 2 usage, 3 the
environment lacks something, 4 a quality or latency gate was missed, 130 interrupted.
"""

from __future__ import annotations

import json
import logging
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn

import click

from vsrc import __version__
from vsrc.compressor.distill_config import DistillConfig
from vsrc.demo.demo_config import DemoConfig
from vsrc.export.export_config import ExportConfig, parse_shape
from vsrc.runtime.bench_config import BenchConfig
from vsrc.runtime.compare_config import CompareConfig
from vsrc.runtime.infer_config import InferConfig, parse_seconds
from vsrc.runtime.spec import GraphIo

if TYPE_CHECKING:
    from vsrc.compressor.data.library import IngestProgress
    from vsrc.compressor.progress import TrainProgress
    from vsrc.runtime.bench_config import BenchProgress
    from vsrc.runtime.infer_result import InferProgress


class _Main(click.Group):
    """Turns errors a user can mend into one line and an exit status, in this one place."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click declares it
        from vsrc.runtime.errors import VsrcError

        try:
            return super().invoke(ctx)
        except VsrcError as error:
            _fail(str(error), error.exit_status)
        except ModuleNotFoundError as error:
            _fail(_missing(error), 3)
        except ValueError as error:
            _fail(str(error), 2)
        except (KeyboardInterrupt, click.Abort):
            _fail("interrupted", 130)
        except BrokenPipeError:
            _fail("the reader of this output went away", 1)
        except OSError as error:
            _fail(str(error), 1)


def _missing(error: ModuleNotFoundError) -> str:
    from vsrc.runtime.needs import extras_with

    module = (error.name or "").partition(".")[0]
    extras = extras_with(module)
    if not extras:
        raise error  # nothing that the user left out
    return f"{module} is not installed; install it: pip install 'vsrc[{extras[0]}]'"


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


@main.command()
@click.option("--teacher", help="Name, package, module:function or spandrel:FILE.")
@click.option("--teacher-weights", type=click.Path(path_type=Path), help="Its checkpoint.")
@click.option(
    "--student", help=f"Name, package or module:function.  [default: {DistillConfig.student}]"
)
@click.option("--data", multiple=True, help="Folder of videos or frames; may be repeated.")
@click.option("-o", "--output", help=f"Package to write.  [default: {DistillConfig.output}]")
@click.option("--objective", help=f"What is learnt from.  [default: {DistillConfig.objective}]")
@click.option("--recipe", type=click.Path(path_type=Path), help="YAML file with any setting.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="Any other setting.")
@click.option("--steps", type=int, help=f"Updates.  [default: {DistillConfig.steps}]")
@click.option("--run-dir", help="Checkpoints and log.  [default: OUTPUT.run]")
@click.option("--resume", is_flag=True, default=None, help="Go on from the last checkpoint.")
@click.option("--overwrite", is_flag=True, default=None, help="Replace an existing package.")
@click.option("--dry-run", is_flag=True, help="Print sizes, memory and time; teach nothing.")
def distill(
    recipe: Path | None, settings: tuple[str, ...], dry_run: bool, **options: object
) -> None:
    """Teach a student network from a teacher and clips, and write its package."""
    from vsrc.compressor.distill import distill
    from vsrc.compressor.plan import plan
    from vsrc.compressor.recipe import read_recipe

    given = {key: value for key, value in options.items() if value not in (None, ())}
    config = read_recipe(recipe, settings=settings, options=given)
    if dry_run:
        click.echo(plan(config).text())
        return
    with _TrainingBar() as bar:
        path = distill(config, report=bar, command=shlex.join(["vsrc", *sys.argv[1:]]))
    click.echo(path)
    click.echo(f"next: vsrc export {path} --format onnx", err=True)


class _TrainingBar:
    """Draws what the trainer reports, on stderr; without a terminal a line every 5 % of the run."""

    def __enter__(self) -> _TrainingBar:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[note]}"))
        self._console = Console(stderr=True)
        self._progress = Progress(*columns, console=self._console, transient=True)
        self._task = self._progress.add_task("data", note="", total=None)
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, line: str) -> None:
        """Print a line above the bar."""
        self._console.print(line, highlight=False)

    def __call__(self, now: IngestProgress | TrainProgress) -> None:
        from vsrc.compressor.data.library import IngestProgress

        if isinstance(now, IngestProgress):
            self._progress.update(self._task, completed=now.done, total=now.total, note=now.name)
            return
        note = _training_note(now)
        label = f"step {now.step}/{now.steps}"
        self._progress.update(
            self._task, description=label, completed=now.step, total=now.steps, note=note
        )
        if not self._console.is_terminal and now.step % max(now.steps // 20, 1) == 0:
            click.echo(f"{label}  {note}", err=True)


def _training_note(now: TrainProgress) -> str:
    terms = " ".join(f"{name} {value:.4g}" for name, value in now.terms.items())
    psnr = "" if now.psnr is None else f"  PSNR {now.psnr:.2f} dB"
    minutes, seconds = divmod(round(now.eta_seconds), 60)
    return (
        f"loss {now.loss:.4g} ({terms}){psnr}  {now.images_per_second:.1f} images/s  "
        f"data {now.wait_share:.0%}  ETA {minutes}:{seconds:02d}"
    )


@main.command("bench")
@click.argument("model", required=False, type=click.Path(path_type=Path))
@click.option(
    "--shape",
    default="{}x{}".format(*BenchConfig.shape),
    show_default=True,
    metavar="HxW",
    help="Height and width of the LR frames.",
)
@click.option("--backend", default=BenchConfig.backend, show_default=True, help="What runs it.")
@click.option("--precision", default=BenchConfig.precision, show_default=True, help="Which graph.")
@click.option(
    "--threads", type=int, default=BenchConfig.threads, help="CPU threads.  [default: all]"
)
@click.option("--iterations", type=int, help="Frames to time after warm-up, instead of --seconds.")
@click.option(
    "--seconds",
    type=float,
    default=BenchConfig.seconds,
    show_default=True,
    help="Time to measure for after warm-up.",
)
@click.option("--max-p99-ms", type=float, help="Fail with status 4 if the p99 latency is above.")
@click.option("--min-fps", type=float, help="Fail with status 4 if the throughput is below.")
@click.option("--json", "json_file", metavar="FILE|-", help="Report as JSON to FILE or stdout.")
def bench_command(
    model: Path | None,
    shape: str,
    json_file: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure how fast MODEL runs on this machine, and what it costs.

    MODEL is a package; without one the student that ships with vsrc is measured.
    """
    from vsrc.runtime.bench_report import report_to_text
    from vsrc.runtime.bench_text import bench_text
    from vsrc.runtime.benchmark import bench, check_gates
    from vsrc.runtime.whole_file import write_whole

    sizes = parse_shape(shape)
    if len(sizes) != 1:
        raise ValueError(f"{shape=} holds {len(sizes)} sizes; one is measured at a time")
    config = BenchConfig(model=model, shape=sizes[0], **options)
    with _Status() as status:
        report = bench(config, progress=lambda now: status(_bench_words(now)))
    if json_file == "-":
        click.echo(report_to_text(report), nl=False)
    else:
        if json_file:
            write_whole(Path(json_file), report_to_text(report))
        click.echo(bench_text(report))
    check_gates(report)


class _Status:
    """One changing line on stderr while a job runs; nothing where stderr is no terminal."""

    def __enter__(self) -> _Status:
        from rich.console import Console

        self._status = Console(stderr=True).status("starting")
        self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._status.stop()

    def __call__(self, words: str) -> None:
        self._status.update(words)


def _bench_words(now: BenchProgress) -> str:
    words = {"load": "loading", "machine": "measuring the machine"}
    return words.get(now.stage, f"{now.samples} frames in {now.seconds:.1f} s")


@main.command("infer")
@click.argument("inputs", nargs=-1, required=True, metavar="VIDEO|DIR|GLOB...")
@click.option("-m", "--model", type=click.Path(path_type=Path), help="Model package.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(path_type=Path),
    help="Video, pictures (out/%08d.png), or a folder for any number of inputs.",
)
@click.option("--backend", default=InferConfig.backend, show_default=True, help="What runs it.")
@click.option("--precision", default=InferConfig.precision, show_default=True, help="Which graph.")
@click.option(
    "--threads", type=int, default=InferConfig.threads, help="CPU threads.  [default: all]"
)
@click.option(
    "--batch", type=int, default=InferConfig.batch, show_default=True, help="Windows fed at once."
)
@click.option("--cuts/--no-cuts", default=InferConfig.cuts, help="Find scene cuts.  [default: on]")
@click.option("--start", default="0", metavar="TIME", help="Where to begin: seconds or HH:MM:SS.")
@click.option("--frames", type=int, help="How many frames to restore.  [default: all]")
@click.option(
    "--codec",
    default=InferConfig.codec,
    show_default=True,
    help="x264, x265, av1, vp9, prores, ffv1, nvenc, or an encoder of FFmpeg.",
)
@click.option(
    "--crf", type=int, help="Constant quality, smaller is better.  [default: 18 for x264]"
)
@click.option("--preset", help="Preset of the encoder.")
@click.option(
    "--fps",
    type=float,
    default=InferConfig.fps,
    show_default=True,
    help="Frames a second of inputs that are pictures.",
)
@click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
@click.option("--allow-hdr", is_flag=True, help="Restore HDR as if its values were SDR.")
@click.option("--deinterlace", is_flag=True, help="Weave interlaced fields into frames first.")
@click.option("--json", "as_json", is_flag=True, help="Result as JSON.")
def infer_command(
    inputs: tuple[str, ...],
    start: str,
    as_json: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Restore videos and enlarge them; sound, subtitles and times are kept.

    Without -m the student that ships with vsrc is taken.
    """
    from vsrc.runtime.errors import MediaError
    from vsrc.runtime.inference import infer

    config = InferConfig(inputs=inputs, start=parse_seconds(start), **options)
    with _InferBar() as bar:
        result = infer(config, progress=bar)
    if as_json:
        _echo_json(result)
    for file in result.files:
        for note in file.notes:
            if note not in bar.shown:
                click.echo(f"{file.input}: {note}", err=True)
        if not as_json:
            click.echo(f"{file.output}  {file.frames} frames, {file.fps:.1f} fps")
    for failure in result.failures:
        click.echo(failure.error, err=True)
    if result.failures:
        total = len(result.files) + len(result.failures)
        raise MediaError(f"{len(result.failures)} of {total} inputs could not be restored")


class _InferBar:
    """One line on each input and, on a terminal, a bar with frames a second and ETA; on stderr."""

    def __enter__(self) -> _InferBar:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.progress import TimeRemainingColumn as Remaining

        columns = (
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[fps]:.1f} fps  ETA"),
            Remaining(),
        )
        console = Console(stderr=True)
        self._progress = Progress(
            *columns, console=console, transient=True, disable=not console.is_terminal
        )
        self._task = self._progress.add_task("", total=None, fps=0.0)
        self.shown: set[str] = set()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def __call__(self, now: InferProgress) -> None:
        if now.done == 0:
            self.shown.update(now.notes)
            for line in (now.headline, *now.notes):
                self._progress.console.print(line, highlight=False, markup=False, soft_wrap=True)
            self._progress.start()
            self._progress.reset(self._task, total=now.total, fps=0.0)
            return
        fps = now.done / max(now.seconds, 1e-9)
        self._progress.update(self._task, completed=now.done, fps=fps)


@main.group("data")
def data_group() -> None:
    """Look after folders of clips."""


@data_group.command("check")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Report as JSON.")
def data_check_command(folder: Path, as_json: bool) -> None:
    """Say what DIR holds: layout, clips, frames, cuts, broken files, how LR twins were made."""
    from vsrc.compressor.data.check import check
    from vsrc.runtime.errors import DataError

    with _Status() as status:
        report = check(folder, progress=lambda clip: status(clip.name))
    if as_json:
        _echo_json(report)
    else:
        for clip in report.details:
            click.echo(clip)
        click.echo(report)
    if report.broken:
        raise DataError(f"{report.broken} of {len(report.details)} clips cannot be used")


@main.command("demo")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=DemoConfig.output,
    show_default=True,
    help="Folder for what it makes.",
)
@click.option(
    "--steps",
    type=int,
    default=DemoConfig.steps,
    show_default=True,
    help="Updates that the student is taught for.",
)
@click.option(
    "--threads", type=int, default=DemoConfig.threads, help="CPU threads.  [default: all]"
)
def demo_command(output: Path, steps: int, threads: int) -> None:
    """Teach, export, restore and measure on the clip that comes with vsrc."""
    from vsrc.demo.tour import demo
    from vsrc.runtime.bench_text import bench_text

    with _TrainingBar() as bar:
        result = demo(
            DemoConfig(output=output, steps=steps, threads=threads), say=bar.say, report=bar
        )
    click.echo(bench_text(result.latency))
    click.echo("\nPSNR of Y against the original, 36 frames that were not learnt from")
    for score in result.scores:
        click.echo(f"  {score.label:<16}  {score.psnr_db:.2f} dB")
    click.echo(f"\nvideo  {result.video}\npage   {result.page}")
    click.echo(f"done in {result.seconds:.0f} s; open the page in a browser", err=True)


@main.command("compare")
@click.argument("left", type=click.Path(path_type=Path))
@click.argument("right", type=click.Path(path_type=Path))
@click.argument("reference", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    default=CompareConfig.output,
    show_default=True,
    help="The page, one HTML file.",
)
@click.option("--start", type=float, default=CompareConfig.start, help="Seconds to skip.")
@click.option(
    "--frames",
    type=int,
    default=CompareConfig.frames,
    show_default=True,
    help="Most frames to compare.",
)
@click.option(
    "--border",
    type=int,
    default=CompareConfig.border,
    show_default=True,
    help="Pixels left out at each edge when scoring.",
)
@click.option("--overwrite", is_flag=True, help="Replace a page that exists.")
@click.option("--json", "as_json", is_flag=True, help="Scores as JSON.")
def compare_command(as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Lay LEFT and RIGHT on each other on a page with a slider.

    Both are pictures, or videos of the same frames; with REFERENCE, the true frames, they are
    scored against it.
    """
    from vsrc.runtime.compared import comparison_text
    from vsrc.runtime.comparison import compare

    with _Status() as status:
        result = compare(
            CompareConfig(**options), progress=lambda now: status(f"frame {now.frames}")
        )
    if as_json:
        _echo_json(result)
        return
    click.echo(comparison_text(result))


@main.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Findings as JSON.")
def doctor_command(as_json: bool) -> None:
    """Say what is installed, what of it works, and the line that mends the rest."""
    from vsrc.runtime.doctor import check_base, examine
    from vsrc.runtime.doctor_text import doctor_text

    with _Status() as status:
        status("trying what is installed")
        diagnosis = examine()
    if as_json:
        _echo_json(diagnosis)
    else:
        click.echo(doctor_text(diagnosis))
    check_base(diagnosis)


@main.command("inspect")
@click.argument("path", metavar="FILE", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Facts as JSON.")
def inspect_command(path: Path, as_json: bool) -> None:
    """Say what FILE is: a package, graph, engine, weights, video or picture."""
    from vsrc.export.inspect import inspect
    from vsrc.runtime.inspection import check_sound, inspection_json, inspection_text

    found = inspect(path)
    if as_json:
        click.echo(json.dumps(inspection_json(found), indent=2))
    else:
        click.echo(inspection_text(found))
    check_sound(found)
