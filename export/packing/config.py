"""What is packed, and what the user says of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsrc.export.foreign.form import ForeignColour
from vsrc.runtime.package import SPEC_FILE
from vsrc.runtime.shipped_models import list_shipped, shipped

SourceKind = Literal["package", "graph", "code", "checkpoint"]
Say = Callable[[str], None]


@dataclass(frozen=True)
class OwnNetwork:
    """A network that is not a package, and what is told of it; None for what is to be found.

    Attributes:
        source: Checkpoint, `.onnx` file, `module:function`, package, or name of a shipped one.
        network: Name in the table, `spandrel`, or `module:function`, for a checkpoint.
        weights: Checkpoint for `module:function`.
        scale: SR/LR side ratio.
        window: Frames fed at once.
        peak: Value of white in a graph's frames, 1 or 255.
        colour: Colour of a graph's frames.
    """

    source: str
    network: str | None = None
    weights: Path | None = None
    scale: int | None = None
    window: int | None = None
    peak: int | None = None
    colour: ForeignColour | None = None

    @property
    def told(self) -> dict[str, object]:
        """Everything that is told, by field."""
        return {
            key: value
            for key, value in vars(self).items()
            if key not in ("source", "weights") and value is not None
        }

    @property
    def kind(self) -> SourceKind:
        """What the source is, by its name alone."""
        if self.package is not None:
            return "package"
        path = Path(self.source)
        if path.suffix.lower() == ".onnx":
            return "graph"
        return "code" if ":" in self.source and not path.exists() else "checkpoint"

    @property
    def package(self) -> Path | None:
        """Folder of the package that the source names; None for anything else."""
        path = Path(self.source)
        if (path / SPEC_FILE).is_file() or path.is_dir():
            return path
        return shipped(self.source) if self.source in list_shipped() and not path.exists() else None

    @property
    def stem(self) -> str:
        """Name for a package of it."""
        source = self.source.rpartition(":")[2] if self.kind == "code" else Path(self.source).name
        return Path(source).stem or "packed"
