"""`vsrc bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsrc.commands.bench_profile import run_profile
from vsrc.commands.status_line import StatusLine
from vsrc.export.export_config import parse_shape
from vsrc.runtime.bench_config import BenchConfig
from vsrc.runtime.profile_config import ProfileConfig, parse_sizes

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
    help="Time to measure for after warm-up; with --profile, each size.",
)
@click.option("--max-p99-ms", type=float, help="Fail with status 4 if the p99 latency is above.")
@click.option("--min-fps", type=float, help="Fail with status 4 if the throughput is below.")
@click.option(
    "--profile",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Measure the edge family instead of MODEL, for latency-targeted distillation.",
)
@click.option(
    "--sizes",
    metavar="ExFxB,...",
    help="With --profile: channels encoded, features, blocks.  [default: 13 sizes]",
)
@click.option("--json", "json_file", metavar="FILE|-", help="Report as JSON to FILE or stdout.")
def bench_command(
    model: Path | None,
    shape: str,
    json_file: str | None,
    profile: Path | None,
    sizes: str | None,
    **options: Any,  # noqa: ANN401
) -> None:
    """Measure how fast MODEL runs on this machine, and what it costs.

    MODEL is a package; without one the student that ships with vsrc is measured.
    """
    from vsrc.runtime.bench_report import report_to_text
    from vsrc.runtime.bench_text import bench_text
    from vsrc.runtime.benchmark import bench, check_gates
    from vsrc.runtime.whole_file import write_whole

    shapes = parse_shape(shape)
    if profile:
        run_profile(_profile_config(shapes, sizes, options), profile)
        return
    if len(shapes) != 1:
        raise ValueError(f"{shape=} holds {len(shapes)} sizes; one is measured at a time")
    config = BenchConfig(model=model, shape=shapes[0], **options)
    with StatusLine() as status:
        report = bench(config, progress=lambda now: status(_bench_words(now)))
    if json_file == "-":
        click.echo(report_to_text(report), nl=False)
    else:
        if json_file:
            write_whole(Path(json_file), report_to_text(report))
        click.echo(bench_text(report))
    check_gates(report)


def _profile_config(
    shapes: tuple[tuple[int, int], ...],
    sizes: str | None,
    options: dict[str, Any],
) -> ProfileConfig:
    return ProfileConfig(
        sizes=parse_sizes(sizes) if sizes else ProfileConfig.sizes,
        shapes=shapes,
        backend=options["backend"],
        precision="fp32" if options["precision"] == "auto" else options["precision"],
        threads=options["threads"],
        seconds=options["seconds"] / ProfileConfig.rounds,
    )


def _bench_words(now: BenchProgress) -> str:
    words = {"load": "loading", "machine": "measuring the machine"}
    return words.get(now.stage, f"{now.samples} frames in {now.seconds:.1f} s")
