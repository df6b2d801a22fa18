"""`vsrc bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from vsrc.commands.bench_profile import SECONDS_A_SIZE, profile_config, run_profile
from vsrc.commands.model_argument import MODEL
from vsrc.commands.own_network import own_network_options, packaged, take_told
from vsrc.commands.status_line import StatusLine
from vsrc.export.config import parse_shape
from vsrc.runtime.latency.config import LEAST_PER_RUN, RUNS, BenchConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsrc.runtime.latency.config import BenchProgress
    from vsrc.runtime.latency.report import BenchReport

_FILE = click.Path(path_type=Path)


@click.command("bench")
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
    help="What runs it; see vsrc infer.",
)
@click.option("--precision", default=BenchConfig.precision, show_default=True, help="Which graph.")
@click.option(
    "--threads", type=int, default=BenchConfig.threads, help="CPU threads.  [default: all]"
)
@click.option(
    "--iterations", type=int, help="Frames to time after warm-up in all, instead of --seconds."
)
@click.option(
    "--seconds",
    type=float,
    help="Time to measure for after warm-up, all runs together.  "
    f"[default: {BenchConfig.seconds:g}; with --profile {SECONDS_A_SIZE:g} for each size]",
)
@click.option(
    "--runs",
    type=int,
    default=BenchConfig.runs,
    help="Fresh processes to measure in; intervals and --compare want 3 or more.  "
    f"[default: {RUNS}; 1 for --minutes and for fewer than {RUNS * LEAST_PER_RUN} --iterations]",
)
@click.option("--minutes", type=float, help="Soak: until the temperature settles, at most so long.")
@click.option("--stages/--no-stages", default=BenchConfig.stages, help="Time each stage, too.")
@click.option("--fps", type=float, help="Stream to keep up with: counts missed deadlines.")
@click.option("--max-p99-ms", type=float, help="Fail with status 4 if the p99 latency is above.")
@click.option("--min-fps", type=float, help="Fail with status 4 if the throughput is below.")
@click.option("--max-watts", type=float, help="Fail with status 4 if the mean power is above.")
@click.option("--max-rss-mb", type=float, help="Fail with status 4 if the peak memory is above.")
@click.option(
    "--compare",
    nargs=2,
    type=_FILE,
    metavar="OLD.json NEW.json",
    help="Compare two reports instead; status 4 if something is worse.",
)
@click.option(
    "--profile",
    type=_FILE,
    metavar="FILE",
    help="Measure the edge family instead, for latency-targeted distillation.",
)
@click.option(
    "--sizes",
    metavar="ExFxB,...",
    help="With --profile: channels encoded, features, blocks.  [default: 13 sizes]",
)
@click.option("--json", "json_file", metavar="FILE|-", help="Report as JSON to FILE or stdout.")
@click.option("--html", "html_file", type=_FILE, metavar="FILE", help="Report as a page.")
def bench_command(
    models: tuple[Path, ...],
    shape: str | None,
    compare: tuple[Path, Path] | None,
    profile: Path | None,
    sizes: str | None,
    json_file: str | None,
    html_file: Path | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure how fast models run on this machine, and what it costs.

    A model is a package, a shipped name, an ONNX file, an engine, a checkpoint, or module:function
    with --weights; without one the student that ships with vsrc is
    measured, and several are set side by side.
    """
    from vsrc.runtime.report.template import check_pages

    _check_options(bool(models))
    if html_file:
        check_pages("--html")
    if compare:
        _compare(compare, json_file, html_file)
        return
    from vsrc.runtime.latency.usual_shape import usual_shape
    from vsrc.runtime.pending_file import check_place

    told = take_told(options)
    shapes = (BenchConfig.shape,) if shape is None else parse_shape(shape)
    if profile:
        check_place(profile)
        run_profile(profile_config(shapes, sizes, options), profile)
        return
    from vsrc.runtime.latency.runs import bench_all, check_gates

    for place in filter(None, (html_file, Path(json_file) if json_file else None)):
        check_place(place)
    if len(shapes) != 1:
        raise ValueError(f"{shape=} holds {len(shapes)} sizes; one is measured at a time")
    given = {name: value for name, value in options.items() if value is not None}
    configs = [
        BenchConfig(model=model, shape=usual_shape(model) if shape is None else shapes[0], **given)
        for model in [_subject(model, told) for model in models] or (None,)
    ]
    with StatusLine() as status:
        reports = bench_all(configs, progress=lambda now: status(*_bench_words(now)))
    _show(reports, json_file, html_file)
    check_gates(*reports)


def _subject(model: Path, told: dict[str, Any]) -> Path:
    """What is measured: an ONNX file as it is, unless something is told of it."""
    is_graph = model.suffix.lower() == ".onnx" and not any(told.values())
    return model if is_graph else packaged(model, told)


_ALLOWED = {
    "compare": {"json_file", "html_file"},
    "profile": {"sizes", "shape", "backend", "precision", "threads", "seconds"},
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


def _show(reports: Sequence[BenchReport], json_file: str | None, html_file: Path | None) -> None:
    from vsrc.runtime.latency.page import write_bench_page
    from vsrc.runtime.latency.report import reports_to_text
    from vsrc.runtime.latency.table import table_text
    from vsrc.runtime.latency.text import bench_text
    from vsrc.runtime.pending_file import write_file

    if json_file and json_file != "-":
        write_file(Path(json_file), reports_to_text(reports))
    if html_file:
        write_bench_page(html_file, reports)
    if json_file == "-":
        click.echo(reports_to_text(reports), nl=False)
        return
    click.echo(table_text(reports) if len(reports) > 1 else bench_text(reports[0]))


def _compare(files: tuple[Path, Path], json_file: str | None, html_file: Path | None) -> None:
    from vsrc.runtime.latency.page import write_comparison_page
    from vsrc.runtime.latency.regression import (
        bench_comparison_text,
        check_no_regression,
        compare_reports,
        comparison_to_text,
    )
    from vsrc.runtime.pending_file import write_file

    comparison = compare_reports(*files)
    if html_file:
        write_comparison_page(html_file, comparison)
    if json_file == "-":
        click.echo(comparison_to_text(comparison), nl=False)
    else:
        if json_file:
            write_file(Path(json_file), comparison_to_text(comparison))
        click.echo(bench_comparison_text(comparison))
    check_no_regression(comparison)


def _bench_words(now: BenchProgress) -> tuple[str, str]:
    words = {
        "idle": "watching the machine idle",
        "load": "loading",
        "stages": "timing the stages",
        "machine": "measuring the machine",
    }
    if now.stage in words:
        return words[now.stage], ""
    return "timing frames:", f"{now.samples} in {now.seconds:.1f} s"
