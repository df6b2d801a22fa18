"""`vsrc demo`."""

from __future__ import annotations

from pathlib import Path

import click

from vsrc.commands.options.sample_input import OutputPath
from vsrc.commands.progress.training_bar import TrainingBar
from vsrc.commands.text_output import echo, echo_line
from vsrc.demo.demo_config import DemoConfig
from vsrc.runtime.text.quoting import quoted


@click.command("demo")
@click.option(
    "-o",
    "--output",
    type=OutputPath(),
    default=DemoConfig.output,
    show_default=True,
    help="Folder for the results.",
)
@click.option(
    "--steps",
    type=int,
    default=DemoConfig.steps,
    show_default=True,
    help="Number of training steps.",
)
@click.option(
    "--threads", type=int, default=DemoConfig.threads, help="CPU threads.  [default: all]"
)
def demo_command(output: Path, steps: int, threads: int) -> None:
    """Train, export, upscale and measure on the sample clip."""
    from vsrc.demo.tour import demo
    from vsrc.runtime.errors import StoppedError
    from vsrc.runtime.latency.text import bench_text

    try:
        with TrainingBar() as bar:
            result = demo(
                DemoConfig(output=output, steps=steps, threads=threads), say=bar.say, report=bar
            )
    except (KeyboardInterrupt, StoppedError):
        raise StoppedError("interrupted; the same command starts again") from None
    echo(bench_text(quoted(result.latency)))
    click.echo("\nPSNR of Y against the original, 36 frames not used for training")
    for score in result.scores:
        click.echo(f"  {score.label:<20}  {score.psnr_db:.2f} dB")
    click.echo()
    echo_line(f"video  {result.video}")
    echo_line(f"page   {result.page}")
    click.echo(f"done in {result.seconds:.0f} s; open the page in a browser", err=True)
