"""Options for networks that are no packages, and their packages."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsrc.commands.text_output import echo_line

if TYPE_CHECKING:
    from vsrc.export.packing.config import OwnNetwork
    from vsrc.export.packing.place import WritablePackage

F = TypeVar("F", bound=Callable[..., Any])

NETWORK_GROUP = "Networks without a package"
"""Heading of these options in a help with groups."""

NETWORK_OPTIONS = ("--network", "--weights", "--scale", "--window", "--range", "--colour")
"""Their names, for a help with groups."""

_OPTIONS = (
    click.option(
        "--network",
        metavar="NAME",
        help="Network of a checkpoint: name, spandrel, or module:function.  [default: detected]",
    ),
    click.option(
        "--weights",
        type=click.Path(path_type=Path),
        help="Checkpoint of a module:function.",
    ),
    click.option(
        "--scale",
        type=int,
        help="SR/LR side ratio of a network without a package.  [default: detected]",
    ),
    click.option(
        "--window",
        type=int,
        help="Frames per window of a network without a package.  [default: detected, or 1]",
    ),
    click.option(
        "--range",
        "peak",
        type=click.Choice(["1", "255"]),
        help="Value of white of an ONNX graph.  [default: detected]",
    ),
    click.option(
        "--colour",
        type=click.Choice(["rgb", "bgr", "y"]),
        help="Channel order of an ONNX graph.  [default: rgb, or y for one channel]",
    ),
)
output_option = click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Package to write.  [default: MODEL itself, or NAME.vsrc if it is not a package]",
)
"""Option of the commands that write to a package; see `writable`."""

_KEYS = ("network", "weights", "scale", "window", "peak", "colour")
NOTHING_TOLD: dict[str, Any] = dict.fromkeys(_KEYS)
"""What `take_told` returns where none of those options is given."""


def own_network_options(command: F) -> F:
    """Add the options that tell what a checkpoint, a graph or code is."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def take_told(options: dict[str, Any]) -> dict[str, Any]:
    """Remove those options from all options of a command and return them."""
    told = {key: options.pop(key) for key in _KEYS}
    if told["peak"] is not None:
        told["peak"] = int(told["peak"])
    return told


def packaged(model: Path, told: dict[str, Any]) -> Path:
    """Return the package of a model: itself, or the one in the cache of a network that is none.

    What the network was found to be is said on stderr.

    Args:
        model: Package, engine, checkpoint, graph or `module:function`.
        told: What `take_told` returned.
    """
    own = own_network(model, told)
    if own is None:
        return model
    from vsrc.commands.progress.status_line import StatusLine
    from vsrc.export.packing.cached import cached_package

    with StatusLine() as show:
        made = cached_package(own, progress=lambda step: show(f"packing: {step.words}"))
    echo_line(f"{model}: {made.words}", err=True)
    return made.path


def own_network(model: Path, told: dict[str, Any]) -> OwnNetwork | None:
    """Describe a model that is no package; None for a package, an engine, or nothing at all.

    Raises:
        click.UsageError: Something is told of a package.
    """
    from vsrc.export.packing.config import OwnNetwork
    from vsrc.runtime.latency.subject import ENGINE_SUFFIXES

    own = OwnNetwork(str(model), **told)
    is_known = own.kind == "package" or model.suffix.lower() in ENGINE_SUFFIXES
    is_missing = own.kind in ("checkpoint", "graph") and not model.is_file()
    if not (is_known or is_missing):
        return own
    if option := _first_option(told):
        raise click.UsageError(
            f"{option} is for networks without a package; {model.stem} has its own value "
            "(vsrc zoo lists the models that ship; edge-m-x2 upscales by 2)"
        )
    return None


def require_model(model: Path | None, told: dict[str, Any]) -> None:
    """Refuse options of a network where no model is given.

    Raises:
        click.UsageError: One of them would be ignored.
    """
    if model is None and (option := _first_option(told)):
        raise click.UsageError(
            f"{option} describes a network without a package: name its file as the model. Models "
            "that ship have a fixed scale: vsrc zoo lists them, and edge-m-x2 upscales by 2"
        )


def _first_option(told: dict[str, Any]) -> str | None:
    given = [key for key in _KEYS if told[key] is not None]
    if not given:
        return None
    return "--range" if given[0] == "peak" else f"--{given[0]}"


def writable(
    model: Path, output: Path | None, told: dict[str, Any], *, verb: str
) -> WritablePackage:
    """Return the package that a command may write to; a copy, or a new one, at `output`.

    Args:
        model: Package or network, as for `packaged`.
        output: Option `-o` of the command.
        told: What `take_told` returned.
        verb: Name of the command.
    """
    from vsrc.commands.progress.status_line import StatusLine
    from vsrc.export.packing.config import OwnNetwork
    from vsrc.export.packing.place import WritablePackage, find_writable

    own = own_network(model, told)
    if own is None and output is None and not model.exists():
        return WritablePackage(model)  # opening it says what is wrong
    with StatusLine() as show:
        place = find_writable(
            own or OwnNetwork(str(model)),
            output,
            verb=verb,
            command=shlex.join(["vsrc", *sys.argv[1:]]),
            progress=lambda step: show(f"packing: {step.words}"),
        )
    if place.words:
        echo_line(f"{place.path}: {place.words}", err=True)
    return place
