"""The manifest of a run over several inputs: the result of each, on disk beside the results.

    upscaled/vsrc-manifest.json            a run over a whole library
    upscaled/vsrc-manifest-2-of-4.json     the second of four shares
    film-x4.mp4.manifest-2-of-4.json       the same, where the output is one file

It is rewritten after each input, so that an interrupted run can be resumed: the same command skips
a result that exists, has its recorded hash and came from the same job.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from vsrc import __version__
from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.encode.segments import Segment
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.errors import SpecError
from vsrc.runtime.hashing import ContentRecord, file_sha256
from vsrc.runtime.jobs.share import Share
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.schema import from_json

KIND = "vsrc-manifest"
SCHEMA_VERSION = 2
_KEYS_OF_VERSION_1 = {"redone": "recomputed_frames", "spoilt": "corrupted_frames"}
"""Keys that have another name since version 2."""


@dataclass(frozen=True)
class Item:
    """Result of one input, or of a piece of it.

    Attributes:
        input: Name of the input.
        output: Path of the result, relative to the folder of the manifest.
        job: Hash of everything that the bytes of the result depend on; empty if it failed early.
        graph: Graph that made it, with its backend; None if it failed early.
        frames: Number of frames of the whole result.
        piece: Range [first, stop) of the frames of this share, or None for the whole input.
        segments: Encoded segments of the piece, with their hashes.
        sha256: Hash of the finished result; None if this share has not written it.
        error: Why it could not be upscaled; empty on success.
        recomputed_frames: Number of frames of the result recomputed in fp32.
        corrupted_frames: Number of frames of the result that are corrupted by reduced precision.
        sources: Size, time and hashes of the video that it was made from; empty for images.
    """

    input: str
    output: str
    job: str = ""
    graph: GraphInUse | None = None
    frames: int = 0
    piece: tuple[int, int] | None = None
    segments: tuple[Segment, ...] = ()
    sha256: str | None = None
    error: str | None = None
    recomputed_frames: int = 0
    corrupted_frames: int = 0
    sources: tuple[ContentRecord, ...] = ()


@dataclass
class Manifest:
    """The manifest of one run.

    Attributes:
        path: Path of the file.
        shard: Share of the inputs that it covers; None for all.
        items: Output -> its item.
    """

    path: Path
    shard: Share | None
    items: dict[str, Item] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._started = _now()
        self.items = {item.output: item for item in _read(self.path)}

    def name(self, target: Target) -> str:
        """Name of the result of a target in the manifest."""
        path, folder = target.path.resolve(), self.path.parent.resolve()
        return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)

    def record(self, item: Item) -> None:
        """Add or replace the item of an input."""
        self.items[item.output] = item

    def save(self) -> None:
        """Write the file atomically."""
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
        """Items of a finished result in this and all manifests beside it."""
        name = self.name(target)
        beside = sorted(self.path.parent.glob("*manifest*.json"))
        items = [item for path in beside for item in _read(path)]
        return [item for item in items if item.output == name and item.sha256]


def manifest_path(output: Path, shard: Share | None, *, is_folder: bool) -> Path:
    """Path of the manifest of a run."""
    share = f"-{shard.index}-of-{shard.count}" if shard else ""
    if is_folder:
        return output / f"vsrc-manifest{share}.json"
    return output.with_name(f"{output.name}.manifest{share}.json")


def is_manifest(path: Path) -> bool:
    """Whether a file is a manifest, of this version or another."""
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(data, dict) and data.get("kind") == KIND


def result_sha256(target: Target) -> str:
    """Hash of a finished result: of the file, or over names and hashes of its images."""
    if not target.is_pictures:
        return file_sha256(target.path)
    digest = hashlib.sha256()
    for file in sorted(target.path.glob("*.png")):
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    return digest.hexdigest()


def _read(path: Path) -> list[Item]:
    """Read the items of a manifest; empty if it is not a readable manifest."""
    try:
        if not path.is_file():  # opening a pipe would wait for its writer
            return []
        data = json.loads(path.read_text(encoding="utf-8"))
        items, version = data["items"], data["schema_version"]
        if data["kind"] != KIND or version not in (1, SCHEMA_VERSION):
            return []
        if version == 1:
            items = _rename_keys(items, _KEYS_OF_VERSION_1)
        return [from_json(Item, values, where=str(path)) for values in items]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SpecError):
        return []


def _rename_keys(data: Any, names: Mapping[str, str]) -> Any:  # noqa: ANN401  parsed JSON
    """Rename keys of all objects in parsed JSON."""
    if isinstance(data, dict):
        return {names.get(key, key): _rename_keys(value, names) for key, value in data.items()}
    if isinstance(data, list):
        return [_rename_keys(value, names) for value in data]
    return data


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
