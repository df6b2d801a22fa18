"""`vsrc bench`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vsrc.commands.bench_profile import SECONDS_A_SIZE, profile_config, run_profile
from vsrc.commands.options.device_argument import device_option
from vsrc.commands.options.model_argument import MODEL
from vsrc.commands.options.option_groups import GroupedCommand
from vsrc.commands.options.own_network import (
    own_network_options,
    packaged,
    require_model,
    take_told,
)
from vsrc.commands.options.shape_option import read_shapes
from vsrc.commands.options.trust_options import allow_code_option
from vsrc.commands.progress.status_line import StatusLine
from vsrc.commands.text_output import echo
from vsrc.runtime.latency.config import LEAST_PER_RUN, RUNS, BenchConfig
from vsrc.runtime.text.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from vsrc.runtime.latency.config import BenchProgress
    from vsrc.runtime.latency.report import BenchReport

_FILE = click.Path(path_type=Path)


_GROUPS = {
    "Model": (
        *("--backend", "--precision", "--device", "--threads", "--network", "--weights"),
        *("--scale", "--window", "--range", "--colour", "--allow-code"),
    ),
    "Measurement": (
        *("--shape", "--seconds", "--iterations", "--runs", "--minutes", "--stages", "--fps"),
    ),
    "Limits": ("--max-p99-ms", "--min-fps", "--max-watts", "--max-rss-mb"),
    "Instead of a measurement of models": ("--compare", "--profile", "--sizes"),
    "Report": ("--json", "--html", "--overwrite"),
}


@click.command("bench", cls=GroupedCommand, groups=_GROUPS)
@click.argument("models", nargs=-1, type=MODEL, metavar="[MODEL|ONNX|ENGINE]...")
@click.option(
    "--shape",
    metavar="HxW",
    help="Height and width of the LR frames.  [default: {}x{}, or the one size that the model "
    "takes]".format(*BenchConfig.shape),
)
@own_network_options
@click.option(
    "--backend",
    default=BenchConfig.backend,
    show_default=True,
    help="Backend; see vsrc infer.",
)
@click.option(
    "--precision",
    default=BenchConfig.precision,
    show_default=True,
    help="Graph to run, by its precision.",
)
@device_option
@click.option(
    "--threads", type=int, default=BenchConfig.threads, help="CPU threads.  [default: all]"
)
@click.option(
    "--iterations",
    type=int,
    help="Number of timed frames after warm-up, all runs together, instead of --seconds.",
)
@click.option(
    "--seconds",
    type=float,
    help="Duration of the measurement after warm-up, all runs together.  "
    f"[default: {BenchConfig.seconds:g}; with --profile {SECONDS_A_SIZE:g} for each size]",
)
@click.option(
    "--runs",
    type=int,
    default=BenchConfig.runs,
    help="Number of fresh processes; intervals and --compare need 3 or more.  "
    f"[default: {RUNS}; 1 for --minutes and for fewer than {RUNS * LEAST_PER_RUN} --iterations]",
)
@click.option(
    "--minutes", type=float, help="Soak test: run until the temperature settles, at most this long."
)
@click.option(
    "--stages/--no-stages", default=BenchConfig.stages, help="Also time each stage of the pipeline."
)
@click.option("--fps", type=float, help="Frame rate of a stream: count missed deadlines.")
@click.option("--max-p99-ms", type=float, help="Exit with status 4 if the p99 latency is higher.")
@click.option("--min-fps", type=float, help="Exit with status 4 if the throughput is lower.")
@click.option("--max-watts", type=float, help="Exit with status 4 if the mean power is higher.")
@click.option("--max-rss-mb", type=float, help="Exit with status 4 if the peak memory is higher.")
@click.option(
    "--compare",
    nargs=2,
    type=_FILE,
    metavar="OLD.json NEW.json",
    help="Compare two reports instead; exit with status 4 if a metric is worse.",
)
@click.option(
    "--profile",
    type=_FILE,
    metavar="FILE",
    help="Measure networks of the edge family instead, for vsrc distill --target-latency.",
)
@click.option(
    "--sizes",
    metavar="ExFxB,...",
    help="With --profile: encoder channels, feature channels and blocks.  [default: 13 sizes]",
)
@click.option(
    "--json", "json_file", metavar="FILE|-", help="Write the report as JSON to FILE or stdout."
)
@click.option(
    "--html", "html_file", type=_FILE, metavar="FILE", help="Write the report as an HTML page."
)
@click.option("--overwrite", is_flag=True, help="Replace files that this command did not write.")
@allow_code_option
def bench_command(
    models: tuple[Path, ...],
    shape: str | None,
    compare: tuple[Path, Path] | None,
    profile: Path | None,
    sizes: str | None,
    json_file: str | None,
    html_file: Path | None,
    overwrite: bool,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure latency, throughput, memory and power of models.

    A model is a package, a shipped name, an ONNX file, an engine, a checkpoint, or module:function
    with --weights. Without one the model that ships is measured; several are compared in a table.
    """
    from vsrc.runtime.output_guard import hash_job
    from vsrc.runtime.report.template import check_page_name, check_pages

    _check_options(bool(models))
    if html_file:
        check_page_name(html_file, "--html")
        check_pages("--html")
    if compare:
        files = _ReportFiles(json_file, html_file, hash_job("bench --compare", *compare))
        files.check(compare, overwrite=overwrite)
        _compare(compare, files)
        return
    from vsrc.runtime.latency.usual_shape import usual_shape

    told = take_told(options)
    require_model(models[0] if models else None, told)
    shapes = (BenchConfig.shape,) if shape is None else read_shapes(shape)
    if profile:
        run_profile(profile_config(shapes, sizes, options), profile, overwrite=overwrite)
        return
    from vsrc.runtime.latency.runs import bench_all, check_gates
    from vsrc.runtime.output_guard import model_files

    job = hash_job("bench", models, shapes, sorted(told.items(), key=str), sorted(options.items()))
    files = _ReportFiles(json_file, html_file, job)
    files.check(model_files(*models, told["weights"]), overwrite=overwrite)
    if len(shapes) != 1:
        raise ValueError(f"{shape=} holds {len(shapes)} sizes; one is measured at a time")
    given = {name: value for name, value in options.items() if value is not None}
    configs = [
        BenchConfig(model=model, shape=usual_shape(model) if shape is None else shapes[0], **given)
        for model in [_subject(model, told) for model in models] or (None,)
    ]
    with StatusLine() as status:
        reports = bench_all(configs, progress=lambda now: status(*_bench_words(now)))
    _show(reports, files)
    check_gates(*reports)


@dataclass(frozen=True)
class _ReportFiles:
    """Files that the reports go to.

    Attributes:
        json_file: Path of the JSON, `-` for stdout; None for none.
        html_file: Path of the page; None for none.
        job: Hash of what is measured.
    """

    json_file: str | None
    html_file: Path | None
    job: str

    def check(self, inputs: Sequence[Path], *, overwrite: bool) -> None:
        """Raise if one of them cannot be written, or would destroy something."""
        from vsrc.runtime.output_guard import check_outputs, check_place, report_output

        paths = {"--json": Path(self.json_file) if self.json_file else None}
        paths["--html"] = self.html_file
        outputs = [report_output(path, name, job=self.job) for name, path in paths.items() if path]
        check_outputs(outputs, inputs=inputs, overwrite=overwrite)
        for output in outputs:
            check_place(output.path)

    def write(self, text: str, write_page: Callable[[Path], Path]) -> None:
        """Write the JSON and the page; the JSON for stdout is left to the caller."""
        from vsrc.runtime.output_guard import mark_report
        from vsrc.runtime.pending_file import write_file

        if self.json_file and self.json_file != "-":
            write_file(Path(self.json_file), text)
            mark_report(Path(self.json_file), self.job)
        if self.html_file:
            mark_report(write_page(self.html_file), self.job)


def _subject(model: Path, told: dict[str, Any]) -> Path:
    """What is measured: an ONNX file as it is, unless something is told of it."""
    is_graph = model.suffix.lower() == ".onnx" and not any(told.values())
    return model if is_graph else packaged(model, told)


_ALLOWED = {
    "compare": {"json_file", "html_file", "overwrite"},
    "profile": {
        "overwrite",
        "sizes",
        "shape",
        "backend",
        "precision",
        "device",
        "threads",
        "seconds",
    },
}
"""Option that replaces the measurement of models -> options allowed with it."""


def _check_options(models: bool) -> None:
    """Reject options that would be ignored.

    Raises:
        click.UsageError: An option is given with --compare or --profile that ignores it, or --sizes
            without --profile.
    """
    context = click.get_current_context()
    given = {
        option.name: option.opts[0]
        for option in context.command.params
        if context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
    }
    given.pop("models", None)
    for name, allowed in _ALLOWED.items():
        if name not in given:
            continue
        if models:
            raise click.UsageError(f"{given[name]} measures no models; leave them out")
        if refused := [text for key, text in given.items() if key not in {name, *allowed}]:
            raise click.UsageError(f"{given[name]} does not take {', '.join(refused)}")
    if "sizes" in given and "profile" not in given:
        raise click.UsageError("--sizes is for --profile FILE")


def _show(reports: Sequence[BenchReport], files: _ReportFiles) -> None:
    from vsrc.runtime.latency.page import write_bench_page
    from vsrc.runtime.latency.report import reports_to_text
    from vsrc.runtime.latency.table import table_text
    from vsrc.runtime.latency.text import bench_text

    text = reports_to_text(reports)
    files.write(text, lambda path: write_bench_page(path, reports))
    if files.json_file == "-":
        click.echo(text, nl=False)
        return
    shown = quoted(list(reports))
    echo(table_text(shown) if len(shown) > 1 else bench_text(shown[0]))


def _compare(compared: tuple[Path, Path], files: _ReportFiles) -> None:
    from vsrc.runtime.latency.page import write_comparison_page
    from vsrc.runtime.latency.regression import (
        bench_comparison_text,
        check_no_regression,
        compare_reports,
        comparison_to_text,
    )

    comparison = compare_reports(*compared)
    text = comparison_to_text(comparison)
    files.write(text, lambda path: write_comparison_page(path, comparison))
    if files.json_file == "-":
        click.echo(text, nl=False)
    else:
        echo(bench_comparison_text(quoted(comparison)))
    check_no_regression(comparison)


def _bench_words(now: BenchProgress) -> tuple[str, str]:
    words = {
        "idle": "measuring the idle machine",
        "load": "loading",
        "stages": "timing the stages",
        "machine": "measuring the machine",
    }
    turn = f", process {now.process} of {now.processes}" if now.processes > 1 else ""
    subject = f"{now.model}{turn}: "
    if now.stage in words:
        return subject + words[now.stage], ""
    return f"{subject}timing frames:", f"{now.samples} in {now.seconds:.1f} s"
