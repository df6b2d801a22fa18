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
from vsrc.commands.examples import EXAMPLES
from vsrc.commands.lazy_group import LazyCommand, LazyGroup
from vsrc.commands.text_output import PrintableFormatter, echo_line

_SHORT_HELPS = {
    "bench": "Measure latency, throughput, memory and power of models.",
    "calibrate": "Calibrate MODEL for INT8 on low-resolution clips.",
    "compare": "Compare two videos or images in an HTML page with a slider.",
    "completion": "Print the completion script of a shell.",
    "data": "Check training data.",
    "demo": "Train, export, upscale and measure on the sample clip.",
    "distill": "Train a student network from a teacher and clips.",
    "doctor": "Check the installation and show how to fix problems.",
    "eval": "Measure the quality of models against ground truth.",
    "export": "Export MODEL to ONNX graphs or TensorRT engines.",
    "infer": "Upscale videos and images.",
    "inspect": "Show the contents of a package, graph, engine or video.",
    "pack": "Make a package of a checkpoint, an ONNX graph or code.",
    "preview": "Compare models on an excerpt of VIDEO before a long run.",
    "selftest": "Test everything vsrc does on a GPU or a Jetson.",
    "shard": "Cut training crops and store the outputs of teachers.",
    "split": "Cut a narrower student from a package trained with csd.",
    "zoo": "List networks, and the models that ship with vsrc.",
}
COMMANDS = {
    name: LazyCommand(
        f"vsrc.commands.{name}", "data_group" if name == "data" else f"{name}_command", text
    )
    for name, text in _SHORT_HELPS.items()
}
"""Name -> command, with the first sentence of its help."""


class _Main(LazyGroup):
    """Group that turns errors a user can fix into one line and an exit status."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the words; `vsrc help infer` is `vsrc infer --help`."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click declares it
        from vsrc.runtime.processes.stop_signal import raise_on_stop_signal
        from vsrc.runtime.processes.stop_watch import watch_stop_signals

        try:
            with watch_stop_signals(), raise_on_stop_signal():
                return self._invoke_explained(ctx)
        except (KeyboardInterrupt, click.Abort):
            _fail("interrupted; nothing was saved", 130)

    def _invoke_explained(self, ctx: click.Context) -> Any:  # noqa: ANN401
        from vsrc.runtime.text.quoting import printable_lines

        try:
            return super().invoke(ctx)
        except (click.Abort, click.exceptions.Exit):
            raise
        except click.ClickException as error:
            error.message = printable_lines(_with_example(error))  # type: ignore[misc]
            raise
        except Exception as error:
            _fail(*_explain(error))


def _with_example(error: click.ClickException) -> str:
    """Message of an error; if something is missing on the command line, with an example."""
    name = getattr(getattr(error, "ctx", None), "command_path", "").partition(" ")[2]
    example = EXAMPLES.get(name.partition(" ")[0])
    if isinstance(error, click.MissingParameter) and example:
        return f"{error.message} For example: {example}".strip()
    if isinstance(error, click.BadOptionUsage) and (usage := _usage_of(error)):
        return f"{error.message} Expected: {usage}"
    return error.message


def _usage_of(error: click.BadOptionUsage) -> str:
    """An option with its values, as in the help; empty where it cannot be found."""
    if error.ctx is None:
        return ""
    for option in error.ctx.command.params:
        record = option.get_help_record(error.ctx)
        if record is not None and error.option_name in option.opts:
            return record[0]
    return ""


_EXPLAINED: tuple[tuple[type[Exception], int, str], ...] = (
    (ValueError, 2, "{}"),
    (BrokenPipeError, 1, "the program that reads this output closed the pipe"),
    (OSError, 1, "{}"),
    (MemoryError, 1, "out of memory ({})"),
)
"""Class of an error, exit status, and the line; the first class that fits is taken."""


def _explain(error: Exception) -> tuple[str, int]:
    """Line and exit status of an error; raises it again if it is a mistake of vsrc itself."""
    from vsrc.runtime.errors import VsrcError, describe_error, is_of_onnxruntime

    if isinstance(error, VsrcError):
        return str(error), error.exit_status
    if isinstance(error, ModuleNotFoundError):
        return _missing(error), 3
    for kind, status, line in _EXPLAINED:
        if isinstance(error, kind):
            return line.format(str(error) or type(error).__name__), status
    if is_of_onnxruntime(error):
        return f"ONNX Runtime failed: {describe_error(error)}", 1
    raise error


def _missing(error: ModuleNotFoundError) -> str:
    from vsrc.runtime.dependencies import is_declared
    from vsrc.runtime.installation import missing_text

    module = (error.name or "").partition(".")[0]
    if not is_declared(module):
        raise error  # not a missing optional dependency
    return f"this needs {missing_text(module)}"


def _fail(message: str, status: int) -> NoReturn:
    from vsrc.runtime.processes.stop_signal import ignore_stop_signals

    if status == 130:
        ignore_stop_signals()  # a second one must not change the exit status
    echo_line(f"vsrc: {' '.join(message.split())}", err=True)
    sys.exit(status)


@click.group(
    cls=_Main,
    lazy_commands=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="vsrc")
@click.option("-v", "--verbose", is_flag=True, help="Log progress to stderr.")
def main(verbose: bool) -> None:
    """Compress, export and run video super-resolution networks on edge devices."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(PrintableFormatter("%(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
