"""Command line: the group of commands, and error handling.

Results go to stdout, messages and progress to stderr. Exit status: 0 done, 1 failed, 2 usage, 3 the
environment lacks something, 4 a quality or latency gate was missed, 130 stopped by a signal.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, NoReturn

import click

from vsrc import __version__
from vsrc.commands.bench import bench_command
from vsrc.commands.calibrate import calibrate_command
from vsrc.commands.compare import compare_command
from vsrc.commands.data import data_group
from vsrc.commands.demo import demo_command
from vsrc.commands.distill import distill_command
from vsrc.commands.doctor import doctor_command
from vsrc.commands.eval import eval_command
from vsrc.commands.export import export_command
from vsrc.commands.infer import infer_command
from vsrc.commands.inspect import inspect_command
from vsrc.commands.pack import pack_command
from vsrc.commands.preview import preview_command
from vsrc.commands.shard import shard_command
from vsrc.commands.split import split_command
from vsrc.commands.zoo import zoo_command


class _Main(click.Group):
    """Group that turns errors a user can fix into one line and an exit status."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click declares it
        from vsrc.runtime.errors import VsrcError
        from vsrc.runtime.stop_signal import raise_on_stop_signal

        with raise_on_stop_signal():
            try:
                return super().invoke(ctx)
            except VsrcError as error:
                _fail(str(error), error.exit_status)
            except ModuleNotFoundError as error:
                _fail(_missing(error), 3)
            except ValueError as error:
                _fail(str(error), 2)
            except (KeyboardInterrupt, click.Abort):
                _fail("interrupted; nothing is kept", 130)
            except BrokenPipeError:
                _fail("the reader of this output went away", 1)
            except OSError as error:
                _fail(str(error), 1)


def _missing(error: ModuleNotFoundError) -> str:
    from vsrc.runtime.dependencies import is_declared
    from vsrc.runtime.installation import missing_text

    module = (error.name or "").partition(".")[0]
    if not is_declared(module):
        raise error  # not a missing optional dependency
    return f"this needs {missing_text(module)}"


def _fail(message: str, status: int) -> NoReturn:
    from vsrc.runtime.stop_signal import ignore_stop_signals

    if status == 130:
        ignore_stop_signals()  # a second one must not change the exit status
    click.echo(f"vsrc: {' '.join(message.split())}", err=True)
    sys.exit(status)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsrc")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to stderr.")
def main(verbose: bool) -> None:
    """Compress, export and run video super-resolution networks on edge devices."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)


for _command in (
    bench_command,
    calibrate_command,
    compare_command,
    data_group,
    demo_command,
    distill_command,
    doctor_command,
    eval_command,
    export_command,
    infer_command,
    inspect_command,
    pack_command,
    preview_command,
    shard_command,
    split_command,
    zoo_command,
):
    main.add_command(_command)
