"""Command line: parse, call one library function, print.

Results go to stdout, talk and progress to stderr. Exit status: 0 done, 1 failed, 2 usage, 3 the
environment lacks something, 4 a quality or latency gate was missed, 130 interrupted.
"""

from __future__ import annotations

import logging
import sys
from typing import Any, NoReturn

import click

from vsrc import __version__


class _Main(click.Group):
    """Turns errors a user can mend into one line and an exit status, in this one place."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click declares it
        from vsrc.runtime.errors import VsrcError

        try:
            return super().invoke(ctx)
        except VsrcError as error:
            _fail(str(error), error.exit_status)
        except ValueError as error:
            _fail(str(error), 2)
        except (KeyboardInterrupt, click.Abort):
            _fail("interrupted", 130)
        except BrokenPipeError:
            _fail("the reader of this output went away", 1)
        except OSError as error:
            _fail(str(error), 1)


def _fail(message: str, status: int) -> NoReturn:
    click.echo(f"vsrc: {' '.join(message.split())}", err=True)
    sys.exit(status)


@click.group(cls=_Main, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vsrc")
@click.option("-v", "--verbose", is_flag=True, help="Log what is done, to stderr.")
def main(verbose: bool) -> None:
    """Compress, export and run video super-resolution networks on edge devices."""
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(name)s: %(message)s", stream=sys.stderr)
