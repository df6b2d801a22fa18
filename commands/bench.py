"""`vsrc bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrc.commands.status_line import StatusLine
from vsrc.export.export_config import parse_shape
from vsrc.runtime.bench_config import BenchConfig

if TYPE_CHECKING:
    from vsrc.runtime.bench_config import BenchProgress


@click.command("bench")
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
    with StatusLine() as status:
        report = bench(config, progress=lambda now: status(_bench_words(now)))
    if json_file == "-":
        click.echo(report_to_text(report), nl=False)
    else:
        if json_file:
            write_whole(Path(json_file), report_to_text(report))
        click.echo(bench_text(report))
    check_gates(report)


def _bench_words(now: BenchProgress) -> str:
    words = {"load": "loading", "machine": "measuring the machine"}
    return words.get(now.stage, f"{now.samples} frames in {now.seconds:.1f} s")
