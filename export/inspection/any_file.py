"""Say what a file is and what it holds, whatever of ours or of the field's it is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from vsrc.runtime.decode.clip_layouts import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from vsrc.runtime.errors import MediaError, SpecError
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.package import SPEC_FILE

_KNOWN = "a model package, .onnx, .engine, .safetensors, .pth, a video or a picture"


def inspect(path: Path) -> Inspection:
    """Look into a file or a package.

    Raises:
        SpecError: Nothing is there, or nothing that is known.
        MediaError: A video that cannot be read.
        MismatchError: A checkpoint that is not plain.
        MissingDependencyError: What reads this kind of file is not installed.
    """
    if not path.exists():
        raise SpecError(f"{path} does not exist")
    if path.is_dir() or path.name == SPEC_FILE:
        from vsrc.runtime.inspection.package import inspect_package

        return inspect_package(path if path.is_dir() else path.parent)
    if not path.is_file():
        raise SpecError(f"{path} is neither a file nor a folder; there can be: {_KNOWN}")
    return _reader(path.suffix.lower())(path)


def _reader(suffix: str) -> Callable[[Path], Inspection]:
    """What looks into files of this kind; each is imported only when it is wanted."""
    if suffix == ".onnx":
        from vsrc.export.inspection.graph import inspect_graph

        return inspect_graph
    if suffix in (".engine", ".plan"):
        from vsrc.runtime.inspection.engine import inspect_engine

        return inspect_engine
    if suffix == ".safetensors":
        from vsrc.export.inspection.checkpoint import inspect_weights

        return inspect_weights
    if suffix in (".pth", ".pt", ".ckpt", ".bin"):
        from vsrc.export.inspection.checkpoint import inspect_checkpoint

        return inspect_checkpoint
    if suffix in VIDEO_SUFFIXES | PICTURE_SUFFIXES:
        from vsrc.runtime.inspection.video import inspect_video

        return inspect_video
    return _anything


def _anything(path: Path) -> Inspection:
    """A file whose name says nothing: FFmpeg tells videos by their first bytes."""
    from vsrc.runtime.inspection.video import inspect_video

    try:
        return inspect_video(path)
    except MediaError as error:
        raise SpecError(f"{path} is not known here; there can be: {_KNOWN}") from error
