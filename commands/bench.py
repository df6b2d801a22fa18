"""`vsrc bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrc.commands.bench_profile import profile_config, run_profile
from vsrc.commands.model_argument import MODEL
from vsrc.commands.status_line import StatusLine
from vsrc.export.export_config import parse_shape
from vsrc.runtime.bench_config import BenchConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vsrc.runtime.bench_config import BenchProgress
    from vsrc.runtime.bench_report import BenchReport

_FILE = click.Path(path_type=Path)


@click.command("bench")
@click.argument("models", nargs=-1, type=MODEL, metavar="[PACKAGE|ONNX]...")
@click.option(
    "--shape",
    default="{}x{}".format(*BenchConfig.shape),
    show_default=True,
    metavar="HxW",
    help="Height and width of the LR frames.",
)
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
@click.option("--iterations", type=int, help="Frames to time after warm-up, instead of --seconds.")
@click.option(
    "--seconds",
    type=float,
    default=BenchConfig.seconds,
    show_default=True,
    help="Time to measure for after warm-up; with --profile, each size.",
)
@click.option(
    "--runs",
    type=int,
    default=BenchConfig.runs,
    show_default=True,
    help="Fresh processes to measure in; from 3 on the intervals know how they differ.",
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
    shape: str,
    compare: tuple[Path, Path] | None,
    profile: Path | None,
    sizes: str | None,
    json_file: str | None,
    html_file: Path | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure how fast models run on this machine, and what it costs.

    A model is a package or an ONNX file; without one the student that ships with vsrc is measured,
    and several are set side by side.
    """
    if compare:
        _compare(compare, json_file, html_file)
        return
    from vsrc.runtime.whole_file import check_place

    shapes = parse_shape(shape)
    if profile:
        check_place(profile)
        run_profile(profile_config(shapes, sizes, options), profile)
        return
    from vsrc.runtime.benchmark import bench_all, check_gates

    for place in filter(None, (html_file, Path(json_file) if json_file else None)):
        check_place(place)
    if len(shapes) != 1:
        raise ValueError(f"{shape=} holds {len(shapes)} sizes; one is measured at a time")
    configs = [BenchConfig(model=model, shape=shapes[0], **options) for model in models or (None,)]
    with StatusLine() as status:
        reports = bench_all(configs, progress=lambda now: status(_bench_words(now)))
    _show(reports, json_file, html_file)
    check_gates(*reports)


def _show(reports: Sequence[BenchReport], json_file: str | None, html_file: Path | None) -> None:
    from vsrc.runtime.bench_page import write_bench_page
    from vsrc.runtime.bench_report import reports_to_text
    from vsrc.runtime.bench_table import table_text
    from vsrc.runtime.bench_text import bench_text
    from vsrc.runtime.whole_file import write_whole

    if json_file and json_file != "-":
        write_whole(Path(json_file), reports_to_text(reports))
    if html_file:
        write_bench_page(html_file, reports)
    if json_file == "-":
        click.echo(reports_to_text(reports), nl=False)
        return
    click.echo(table_text(reports) if len(reports) > 1 else bench_text(reports[0]))


def _compare(files: tuple[Path, Path], json_file: str | None, html_file: Path | None) -> None:
    from vsrc.runtime.bench_compare import (
        check_no_regression,
        compare_reports,
        comparison_text,
        comparison_to_text,
    )
    from vsrc.runtime.bench_page import write_comparison_page
    from vsrc.runtime.whole_file import write_whole

    found = compare_reports(*files)
    if html_file:
        write_comparison_page(html_file, found)
    if json_file == "-":
        click.echo(comparison_to_text(found), nl=False)
    else:
        if json_file:
            write_whole(Path(json_file), comparison_to_text(found))
        click.echo(comparison_text(found))
    check_no_regression(found)


def _bench_words(now: BenchProgress) -> str:
    words = {
        "idle": "watching the machine idle",
        "load": "loading",
        "stages": "timing the stages",
        "machine": "measuring the machine",
    }
    return words.get(now.stage, f"{now.samples} frames in {now.seconds:.1f} s")
