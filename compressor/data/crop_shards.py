"""Crops cut once and stored in shards, with a teacher's output for each.

    <folder>/manifest.json         what the crops are: ShardManifest
             crops-00000.u8        LR window and HR centre frame of each crop, uint8 RGB planes
             crops-00000.json      where each was cut, and the hash of the file
             teacher-00000.u8      the teacher's output for each, uint8, in the same order
             teacher-00000.json    the hash of the file
             held.safetensors      held-out clips: lr (N, L, 3, h, w), hr (N, L, 3, sh, sw), uint8
             held.json             the hash of the file

A file counts once the `.json` beside it is there. Reading is random access into mapped files, so a
run costs no decoding, no resizing and no pass through the teacher. The hashes are checked before
a run.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors.torch import load_file
from torch.utils.data import Dataset

from vsrc.compressor.data.dataset import (
    ClipBatch,
    ClipItem,
    augment_alike,
    collate,
    repeat_centre,
)
from vsrc.compressor.data.library import DataDegradation, IngestProgress
from vsrc.runtime.errors import DataError, SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.picture.fast_resize import Planes
from vsrc.runtime.schema import from_json

MANIFEST_FILE, HELD_FILE = "manifest.json", "held.safetensors"
VERSION = 1


@dataclass(frozen=True)
class KeptTeacher:
    """A teacher whose outputs are stored.

    Attributes:
        name: Name as given.
        arguments: Arguments of its constructor.
        weights_sha256: SHA-256 of its weights; None where its own code loads them.
        share: Weight of its output in the mean, 0..1.
        sees_time_alike: Whether a clip played backwards gives the same outputs.
    """

    name: str
    arguments: dict[str, bool | int | float | str]
    weights_sha256: str | None
    share: float
    sees_time_alike: bool


@dataclass(frozen=True)
class ShardManifest:
    """Content of `manifest.json`.

    Attributes:
        version: Version of this layout.
        scale: HR/LR side ratio.
        degradation: Degradation that made LR from HR.
        clip_length: L, frames of an LR window.
        patch: Side of the HR crop, pixels.
        shard_crops: Number of crops in one shard.
        shards: Number of shards.
        crops_per_frame: Number of crops cut from each frame.
        run_frames: Maximum number of consecutive frames fed to the teachers at once.
        candidates: Number of places drawn for each crop; the one with most detail is kept.
        seed: Seed of all random draws.
        data: Data folders the crops come from.
        data_sha256: SHA-256 of the frames the crops were cut from.
        frames: Number of those frames.
        teachers: Teachers whose mean output is stored; empty for none.
        teacher_precision: Arithmetic of the teachers.
    """

    version: int
    scale: int
    degradation: DataDegradation
    clip_length: int
    patch: int
    shard_crops: int
    shards: int
    crops_per_frame: int
    run_frames: int
    candidates: int
    seed: int
    data: tuple[str, ...]
    data_sha256: str
    frames: int
    teachers: tuple[KeptTeacher, ...] = ()
    teacher_precision: Literal["fp32", "bf16"] = "fp32"

    @property
    def lr_shape(self) -> tuple[int, int, int, int]:
        """`(L, 3, h, w)` of a crop."""
        side = self.patch // self.scale
        return (self.clip_length, 3, side, side)

    @property
    def hr_shape(self) -> tuple[int, int, int, int]:
        """`(1, 3, sh, sw)` of a crop and of the teacher's output for it."""
        return (1, 3, self.patch, self.patch)

    @property
    def crop_bytes(self) -> int:
        """Size of LR and HR of one crop, bytes."""
        return int(np.prod(self.lr_shape) + np.prod(self.hr_shape))

    @property
    def size_bytes(self) -> int:
        """Disk space of all shards, bytes."""
        teacher = int(np.prod(self.hr_shape)) if self.teachers else 0
        return self.shards * self.shard_crops * (self.crop_bytes + teacher)


@dataclass(frozen=True)
class CropShards:
    """A folder of shards, opened for reading."""

    folder: Path
    manifest: ShardManifest

    @cached_property
    def crops(self) -> tuple[Planes, ...]:
        """Crops of each shard, `(crops, crop_bytes)`, memory-mapped."""
        return self._mapped("crops", self.manifest.crop_bytes)

    @cached_property
    def teacher_pictures(self) -> tuple[Planes, ...]:
        """Teacher outputs of each shard, `(crops, bytes of an output)`, memory-mapped."""
        return self._mapped("teacher", int(np.prod(self.manifest.hr_shape)))

    def text(self) -> str:
        """One-line summary."""
        manifest = self.manifest
        names = ", ".join(teacher.name for teacher in manifest.teachers) or "none"
        return (
            f"{self.folder}: {manifest.shards * manifest.shard_crops} crops of {manifest.patch} "
            f"pixels from {manifest.frames} frames, teacher {names}"
        )

    def held_out(self) -> list[ClipBatch]:
        """Validation clips, each a batch of one."""
        path = self.folder / HELD_FILE
        if not path.is_file():
            return []
        clips = load_file(path)
        pairs = zip(clips["lr"], clips["hr"], strict=True)
        return [collate([ClipItem(lr, hr, "held out")]) for lr, hr in pairs]

    def files(self, kind: str) -> list[Path]:
        """Paths of the `crops` or `teacher` file of each shard.

        Raises:
            DataError: Some are missing.
        """
        paths = [shard_file(self.folder, kind, at) for at in range(self.manifest.shards)]
        missing = [path.name for path in paths if not path.with_suffix(".json").is_file()]
        if missing:
            raise DataError(
                f"{self.folder} lacks {len(missing)} of {len(paths)} {kind} files ({missing[0]}, "
                "...): run the command that made it again; it resumes where it stopped"
            )
        return paths

    def files_of_run(self, *, with_teacher: bool) -> list[Path]:
        """Paths of the files that a run reads; see `files`."""
        return [*self.files("crops"), *(self.files("teacher") if with_teacher else ())]

    def _mapped(self, kind: str, record_bytes: int) -> tuple[Planes, ...]:
        shape = (self.manifest.shard_crops, record_bytes)
        paths = self.files(kind)
        try:
            return tuple(np.memmap(path, dtype=np.uint8, mode="r", shape=shape) for path in paths)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.folder}: a {kind} file is damaged ({error})") from error


def open_shards(folder: Path) -> CropShards:
    """Open a folder that `vsrc shard` made.

    Raises:
        DataError: It is not a folder of shards, or has another layout version.
    """
    path = folder / MANIFEST_FILE
    if (manifest := read_manifest(path)) is None:
        raise DataError(f"{folder} holds no {MANIFEST_FILE}: make it with vsrc shard")
    if manifest.version != VERSION:
        raise DataError(f"{path} has layout version {manifest.version}, expected {VERSION}")
    return CropShards(folder, manifest)


def read_manifest(path: Path) -> ShardManifest | None:
    """Read a manifest; None if there is none.

    Raises:
        DataError: It is damaged.
    """
    if not path.is_file():  # opening a pipe would wait for its writer
        return None
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        return from_json(ShardManifest, data, where=str(path))
    except (ValueError, SpecError, OSError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); make the shards again") from error


def shard_file(folder: Path, kind: str, number: int) -> Path:
    """Path of one file of one shard."""
    return folder / f"{kind}-{number:05d}.u8"


def check_shard_files(
    shards: CropShards,
    *,
    with_teacher: bool,
    report: Callable[[IngestProgress], None] | None = None,
) -> None:
    """Compare the files that a run reads with their recorded hashes.

    Args:
        shards: The folder.
        with_teacher: Whether the teacher's outputs are read, too.
        report: Called after each file.

    Raises:
        DataError: Files are missing or damaged.
    """
    paths = shards.files_of_run(with_teacher=with_teacher)
    held = shards.folder / HELD_FILE
    if held.is_file() and held.with_suffix(".json").is_file():  # older versions wrote no hash
        paths.append(held)
    damaged = []
    for done, path in enumerate(paths, start=1):
        if not path.is_file() or file_sha256(path) != _recorded_sha256(path.with_suffix(".json")):
            damaged.append(path)
        if report is not None:
            report(IngestProgress(path.name, done, len(paths)))
    if damaged:
        sidecars = ", ".join(path.with_suffix(".json").name for path in damaged)
        raise DataError(
            f"{shards.folder}: {damaged[0].name} differs from its hash ({len(damaged)} of "
            f"{len(paths)} files do): remove {sidecars} and run the vsrc shard that made them "
            "again; it writes these again"
        )


def _recorded_sha256(sidecar: Path) -> str | None:
    """Hash in a sidecar; None if it is not readable."""
    try:
        sha256 = json.loads(sidecar.read_text(encoding="utf-8"))["sha256"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return sha256 if isinstance(sha256, str) else None


class CropDataset(Dataset[ClipItem]):
    """Items of shards: every crop once per epoch, in an order drawn anew for each epoch.

    Item i depends on (seed, i) and the shards alone; an index has no upper bound.

    Args:
        shards: Source of the crops.
        seed: Seed of order and augmentation.
        with_teacher: Return the teacher's output, too.
        augment: Mirror, transpose and play backwards at random.
        stills: Probability that an item repeats its centre frame, 0..1.
    """

    def __init__(
        self,
        shards: CropShards,
        *,
        seed: int,
        with_teacher: bool,
        augment: bool = True,
        stills: float = 0.0,
    ) -> None:
        self._manifest, self._crops = shards.manifest, shards.crops
        self._pictures = shards.teacher_pictures if with_teacher else ()
        self._seed, self._augment, self._stills = seed, augment, stills
        # A teacher sensitive to the direction of time would give other outputs in reverse.
        self._backwards = not with_teacher or all(
            teacher.sees_time_alike for teacher in shards.manifest.teachers
        )
        self._pass, self._order = -1, np.empty(0, dtype=np.int64)

    def __len__(self) -> int:
        return self._manifest.shards * self._manifest.shard_crops

    def __getitem__(self, index: int) -> ClipItem:
        """Item number `index`, which may be larger than `len`."""
        if index < 0:
            raise IndexError(f"{index=} must not be negative")
        number = self._crop_at(index)
        shard, place = divmod(number, self._manifest.shard_crops)
        record = self._crops[shard][place]
        lr_bytes = int(np.prod(self._manifest.lr_shape))
        planes = [
            record[:lr_bytes].reshape(self._manifest.lr_shape),
            record[lr_bytes:].reshape(self._manifest.hr_shape),
        ]
        if self._pictures:
            planes.append(self._pictures[shard][place].reshape(self._manifest.hr_shape))
        tensors = [torch.from_numpy(np.array(each)) for each in planes]
        rng = np.random.default_rng((self._seed, index))
        if self._augment:
            tensors = augment_alike(tensors, rng, backwards=self._backwards)
        if self._stills and rng.random() < self._stills:
            tensors[0] = repeat_centre(tensors[0])
        teacher = tensors[2] if self._pictures else None
        return ClipItem(tensors[0], tensors[1], f"shard {shard}, crop {place}", teacher)

    def _crop_at(self, index: int) -> int:
        passed, place = divmod(index, len(self))
        if passed != self._pass:
            rng = np.random.default_rng((self._seed, passed, len(self)))
            self._pass, self._order = passed, rng.permutation(len(self))
        return int(self._order[place])
