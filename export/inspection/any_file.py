"""Inspect a file of any supported kind."""

from __future__ import annotations

import logging
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from vsrc.runtime.decode.detection import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from vsrc.runtime.errors import MediaError, SpecError, VsrcError, describe_error
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.package import SPEC_FILE
from vsrc.runtime.text.missing_path import describe_missing

logger = logging.getLogger(__name__)

_KNOWN = "a model package, .onnx, .engine, .safetensors, .pth, .npz, a video or a picture"

_PICKLED_BY_TORCH = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")
"""How files of torch.save before 1.6 begin: the pickle of its magic number."""


def inspect(path: Path) -> Inspection:
    """Inspect a file or a package.

    Raises:
        SpecError: The path does not exist, or is of an unknown kind.
        MediaError: The video cannot be read.
        MismatchError: The checkpoint holds more than tensors.
        MissingDependencyError: The library for this kind of file is not installed.
    """
    if not path.exists():
        raise SpecError(describe_missing(path))
    if path.is_dir() or path.name == SPEC_FILE:
        from vsrc.runtime.inspection.package import inspect_package

        return inspect_package(path if path.is_dir() else path.parent)
    if not path.is_file():
        raise SpecError(f"{path} is neither a file nor a folder; expected {_KNOWN}")
    try:
        return _reader(path.suffix.lower())(path)
    except (VsrcError, ModuleNotFoundError):
        raise
    except Exception as error:  # whatever a library makes of any file
        logger.info("%s cannot be inspected", path, exc_info=True)
        raise SpecError(f"{path} is damaged or not supported: {describe_error(error)}") from error


def _reader(suffix: str) -> Callable[[Path], Inspection]:
    """Return the function that inspects this kind of file, imported on demand."""
    if suffix == ".onnx":
        from vsrc.export.inspection.graph import inspect_graph

        return inspect_graph
    if suffix in (".engine", ".plan"):
        from vsrc.runtime.inspection.engine import inspect_engine

        return inspect_engine
    if suffix == ".safetensors":
        from vsrc.export.inspection.checkpoint import inspect_weights

        return inspect_weights
    if suffix in (".pth", ".pt", ".ckpt", ".bin", ".npz"):
        from vsrc.export.inspection.checkpoint import inspect_checkpoint

        return inspect_checkpoint
    if suffix in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
        from vsrc.runtime.inspection.video import inspect_video

        return inspect_video
    return _anything


def _anything(path: Path) -> Inspection:
    """Inspect a file of unknown suffix, by its content, as other commands would take it."""
    from vsrc.runtime.inspection.video import inspect_video

    if _is_saved_by_torch(path):
        return _reader(".pth")(path)
    try:
        return inspect_video(path)
    except MediaError as error:
        raise SpecError(f"{path} is of an unknown type; expected {_KNOWN}") from error


def _is_saved_by_torch(path: Path) -> bool:
    """Whether torch.save wrote a file: an archive with a pickle or, before 1.6, pickles."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return any(PurePosixPath(name).name == "data.pkl" for name in archive.namelist())
    with path.open("rb") as file:
        return file.read(len(_PICKLED_BY_TORCH)) == _PICKLED_BY_TORCH
