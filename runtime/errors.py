"""Errors that a user can cause or fix.

    VsrcError                   exit status 1: the job failed
    ├── SpecError               a model package or its model.json is invalid
    ├── MediaError              a video, audio track or image cannot be read or written
    │   ├── DiskFullError       the disk, or a quota, is full
    │   ├── HardwareError       the video hardware of a GPU cannot be used, or failed
    │   └── InterlacedError     a video becomes interlaced after its beginning
    ├── OutputError             exit status 2: an output would destroy something
    ├── DataError               a data folder contains nothing to train on
    ├── MismatchError           two things that must agree do not (checkpoint and network, ...)
    ├── TrainingError           a training run cannot continue (a loss that is not finite)
    ├── MissingDependencyError  exit status 3: a dependency is not installed or failed to load
    ├── DeviceMemoryError       out of memory while running a network
    ├── GateError               exit status 4: a quality or latency limit was missed
    └── StoppedError            exit status 130: Ctrl+C or SIGTERM; what was done is saved

Wrong arguments are plain `ValueError`s; the command line turns those into exit status 2.
"""

from __future__ import annotations

from typing import ClassVar

_LONGEST = 300
"""Characters of a foreign message that are repeated; torch's can fill a screen."""


class VsrcError(Exception):
    """The job failed for a reason that the user can understand and act on."""

    exit_status: ClassVar[int] = 1


class SpecError(VsrcError):
    """A model package, or the `model.json` in it, is damaged, unsafe or too new."""


class MediaError(VsrcError):
    """A video, audio track or image cannot be read or written."""


class DiskFullError(MediaError):
    """There is no space left on the disk for a result."""


class HardwareError(MediaError):
    """A decoder or encoder of a GPU cannot be opened, or failed where the CPU may succeed.

    Attributes:
        starts_over: Whether the CPU must begin again with the first frame.
    """

    starts_over = False


class InterlacedError(MediaError):
    """A video becomes interlaced where the job did not expect it; what was done is saved."""


class OutputError(VsrcError):
    """A file that a command would write is an input, or exists; nothing was changed."""

    exit_status: ClassVar[int] = 2


class DataError(VsrcError):
    """A data folder contains nothing that can be used."""


class MismatchError(VsrcError):
    """Two things that must agree do not."""


class TrainingError(VsrcError):
    """A training run cannot continue."""


class MissingDependencyError(VsrcError):
    """A package, provider or driver is missing; the message has the command that fixes it."""

    exit_status: ClassVar[int] = 3


class DeviceMemoryError(VsrcError):
    """The machine or a GPU ran out of memory while a network ran."""


class GateError(VsrcError):
    """A quality or latency limit was missed, so the result was not written."""

    exit_status: ClassVar[int] = 4


class StoppedError(VsrcError):
    """The job was stopped; the message says what is saved and how to resume it."""

    exit_status: ClassVar[int] = 130


def is_of_onnxruntime(error: BaseException) -> bool:
    """Whether an exception is one of ONNX Runtime's own, which share no base class."""
    return type(error).__module__.partition(".")[0] == "onnxruntime"


def first_line(error: BaseException) -> str:
    """Return the first line of what a library says of an error; others are often dumps."""
    return str(error).strip().split("\n")[0]


def describe_error(error: BaseException) -> str:
    """Describe an exception in one line of limited length, for a longer message.

    Returns:
        What the system said, with the file it said it of; of other exceptions class and message.
    """
    words = " ".join(str(error).split())
    if isinstance(error, OSError) and error.strerror:
        text = f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    elif isinstance(error, MemoryError) and not words:
        text = "out of memory"
    else:
        text = f"{type(error).__name__}: {words}" if words else type(error).__name__
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
