"""What became of each input of a run over many, on disk beside the results.

    restored/vsrc-manifest.json            a run over a whole library
    restored/vsrc-manifest-2-of-4.json     the second of four shares
    film-x4.mp4.manifest-2-of-4.json       the same, where the output is one file

It is written anew after each input, so that what a run that was stopped has finished is known: the
same command takes a result that is there, has its recorded hash and came from the same job as done.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vsrc import __version__
from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.encode.segments import Segment
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.jobs.shard import Shard
from vsrc.runtime.pending_file import write_file

KIND = "vsrc-manifest"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class Item:
    """One input, or a piece of it.

    Attributes:
        input: Its name.
        output: Name of the result, relative to the folder of the manifest.
        job: Hash of everything that the bytes of the result depend on; empty if it failed early.
        graph: Graph that made it, and what ran it; None if it failed early.
        frames: Frames of the whole result.
        piece: [first, stop) of the frames that were this share's, or None for the whole input.
        segments: The encoded parts of the piece, with their hashes.
        sha256: Of the finished result; None where this share has not made it.
        error: Why it could not be restored.
        redone: Of the finished result, frames that were restored again in fp32.
        spoilt: Of the finished result, frames that reduced precision has spoilt.
    """

    input: str
    output: str
    job: str = ""
    graph: GraphInUse | None = None
    frames: int = 0
    piece: tuple[int, int] | None = None
    segments: Sequence[Segment] = ()
    sha256: str | None = None
    error: str | None = None
    redone: int = 0
    spoilt: int = 0


@dataclass
class Manifest:
    """The manifest of one run.

    Attributes:
        path: Its file.
        shard: The share that it is of; None for all.
        items: By their outputs.
    """

    path: Path
    shard: Shard | None
    items: dict[str, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = _now()
        self.items = {item.output: item for item in _read(self.path)}

    def name(self, target: Target) -> str:
        """What the result of a target is called in it."""
        path, folder = target.path.resolve(), self.path.parent.resolve()
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

    def record(self, item: Item) -> None:
        """Note what became of an input."""
        self.items[item.output] = item

    def save(self) -> None:
        """Write it, whole or not at all."""
        head = {
            "kind": KIND,
            "schema_version": SCHEMA_VERSION,
            "vsrc": __version__,
            "shard": asdict(self.shard) if self.shard else None,
            "host": platform.node(),
            "started_utc": self._started,
            "written_utc": _now(),
        }
        items = [asdict(self.items[output]) for output in sorted(self.items)]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self.path, json.dumps({**head, "items": items}, indent=1) + "\n")

    def recorded(self, target: Target) -> list[Item]:
        """What this and all manifests beside it say of a result that was finished."""
        name = self.name(target)
        beside = sorted(self.path.parent.glob("*manifest*.json"))
        items = [item for path in beside for item in _read(path)]
        return [item for item in items if item.output == name and item.sha256]


def manifest_path(output: Path, shard: Shard | None, *, is_folder: bool) -> Path:
    """Where the manifest of a run lies."""
    share = f"-{shard.index}-of-{shard.count}" if shard else ""
    if is_folder:
        return output / f"vsrc-manifest{share}.json"
    return output.with_name(f"{output.name}.manifest{share}.json")


def result_sha256(target: Target) -> str:
    """Hash of a finished result: of the file, or of the names and hashes of its pictures."""
    if not target.is_pictures:
        return file_sha256(target.path)
    digest = hashlib.sha256()
    for file in sorted(target.path.glob("*.png")):
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def _read(path: Path) -> list[Item]:
    """The items of a manifest; none if it is no manifest that can be read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["kind"] != KIND or data["schema_version"] != SCHEMA_VERSION:
            return []
        return [_item(values) for values in data["items"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _item(values: dict[str, Any]) -> Item:
    segments = tuple(Segment(**segment) for segment in values.pop("segments"))
    piece = values.pop("piece")
    return Item(**values, segments=segments, piece=tuple(piece) if piece else None)


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
