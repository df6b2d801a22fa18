"""Store crops and teacher outputs in shards, computed once for all later runs."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from vsrc.compressor.data import ClipLibrary, open_library, split_holdout, validation_clips
from vsrc.compressor.data.crop_places import (
    CropRun,
    cut_picture,
    cut_window,
    draw_runs,
    read_clean_run,
    read_window,
    to_json_places,
)
from vsrc.compressor.data.crop_shards import (
    HELD_FILE,
    MANIFEST_FILE,
    VERSION,
    KeptTeacher,
    ShardManifest,
    read_manifest,
    shard_file,
)
from vsrc.compressor.data.library import IngestProgress
from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.features.whole_clip import WholeClipNetwork
from vsrc.compressor.networks.loading.find_network import FoundNetwork, find_teacher
from vsrc.compressor.patch_size import round_patch
from vsrc.compressor.shard_config import ShardConfig
from vsrc.runtime.errors import DataError, MismatchError
from vsrc.runtime.file_lock import hold_lock_file
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.output_guard import PlannedOutput, check_outputs, model_files
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.picture.fast_resize import Planes
from vsrc.runtime.sample import typed_input
from vsrc.runtime.schema import to_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ShardProgress:
    """Progress of `shard`.

    Attributes:
        kind: `crops` or `teacher`.
        done: Number of finished files of this kind.
        total: Number of files of this kind.
        size_bytes: Final size of all files, bytes.
    """

    kind: str
    done: int
    total: int
    size_bytes: int


Report = Callable[[IngestProgress | ShardProgress], None]


@dataclass(frozen=True)
class _Teacher:
    network: ClipNetwork
    kept: KeptTeacher


def shard(config: ShardConfig, *, report: Report = lambda _progress: None) -> Path:
    """Cut crops and store the teachers' outputs for them; finished files are kept.

    Several processes may work on one folder at once; each takes the next unclaimed file.

    Args:
        config: Data, teachers and sizes of the shards.
        report: Called after each source that is opened and each file that is written.

    Returns:
        The folder.

    Raises:
        MismatchError: The folder holds crops of other data, settings or teachers.
        DataError: No usable clips, or too little disk.
        OutputError: The folder is one of the inputs, or a package.
    """
    config = round_patch(config)
    outputs = [
        PlannedOutput(config.output, "-o"),
        PlannedOutput(config.output / MANIFEST_FILE, "the manifest"),
    ]
    inputs = [*config.data, *model_files(*config.teachers), *config.teacher_weights]
    check_outputs(outputs, inputs=inputs, overwrite=True)
    library = open_library(
        config.data,
        scale=config.scale,
        degradation=config.degradation,
        cache=config.cache,
        max_height=config.max_height,
        progress=report,
    )
    training_clips, held = (
        split_holdout(library, fraction=config.holdout) if config.holdout else (library, None)
    )
    teachers = _find_teachers(config)
    manifest = _manifest(config, training_clips, tuple(teacher.kept for teacher in teachers))
    _begin(config.output, manifest)
    report(ShardProgress("crops", 0, manifest.shards, manifest.size_bytes))
    if held is not None:
        _keep_held_out(config, held)
    for number in _iter_missing(config.output, "crops", manifest, report):
        _cut_shard(config.output, training_clips, manifest, number)
    for number in _iter_missing(config.output, "teacher", manifest, report) if teachers else ():
        _ask_teachers(config.output, training_clips, manifest, teachers, number)
    return config.output


def _find_teachers(config: ShardConfig) -> list[_Teacher]:
    shares = config.mix or (1.0,) * len(config.teachers)
    weights = config.teacher_weights or (None,) * len(config.teachers)
    arguments = config.teacher_arguments or ({},) * len(config.teachers)
    loaded = []
    for name, path, given, share in zip(config.teachers, weights, arguments, shares, strict=True):
        network = find_teacher(name, scale=config.scale, weights=path, arguments=given)
        kept = KeptTeacher(
            name=name,
            arguments=dict(given),
            weights_sha256=network.weights_sha256,
            share=share / sum(shares),
            sees_time_alike=_sees_time_alike(network),
        )
        frozen = network.network.eval().requires_grad_(False)
        for weight in frozen.parameters():
            if weight.dim() == 4:
                # channels_last makes convolutions a sixth to a quarter faster on a CPU.
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        loaded.append(_Teacher(ClipNetwork(frozen), kept))
    return loaded


def _sees_time_alike(network: FoundNetwork) -> bool:
    return network.spec.window == 1 or network.spec.arguments.get("both_directions") is True


def _manifest(
    config: ShardConfig, library: ClipLibrary, teachers: tuple[KeptTeacher, ...]
) -> ShardManifest:
    return ShardManifest(
        version=VERSION,
        scale=config.scale,
        degradation=config.degradation,
        clip_length=config.clip_length,
        patch=config.patch,
        shard_crops=config.shard_crops,
        shards=config.shards,
        crops_per_frame=config.crops_per_frame,
        run_frames=config.run_frames,
        candidates=config.candidates,
        seed=config.seed,
        data=tuple(map(typed_input, config.data)),
        data_sha256=library.sha256,
        frames=library.frames,
        teachers=teachers,
        teacher_precision=config.teacher_precision,
    )


def _begin(folder: Path, manifest: ShardManifest) -> None:
    """Write the manifest, or compare it with the existing one."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / MANIFEST_FILE
    if (there := read_manifest(path)) is not None:
        _compare(path, there, manifest)
        if there.teachers:
            return
    needed = manifest.size_bytes - sum(file.stat().st_size for file in folder.glob("*.u8"))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise DataError(
            f"the shards take {needed / 1e9:.3g} GB in {folder}, and {free / 1e9:.3g} GB are free: "
            "free some, choose another folder, or cut fewer crops"
        )
    write_file(path, json.dumps(to_json(manifest), indent=1))


def _compare(path: Path, there: ShardManifest, wanted: ShardManifest) -> None:
    """Check that two manifests agree; crops without a teacher may get one."""
    old, new = to_json(there), to_json(wanted)
    free = {"data"} | ({"teachers", "teacher_precision"} if not there.teachers else set())
    differing = [key for key in new if key not in free and old[key] != new[key]]
    if differing:
        key = differing[0]
        raise MismatchError(
            f"{path} was made with {key}={old[key]!r}, this run has {new[key]!r}; give the same to "
            "continue it, or another folder"
        )


def _keep_held_out(config: ShardConfig, held: ClipLibrary) -> None:
    path = config.output / HELD_FILE
    clips = validation_clips(
        held, clip_length=config.clip_length, count=config.holdout_clips, crop=2 * config.patch
    )
    if clips and not (path.is_file() and path.with_suffix(".json").is_file()):
        shapes = [clip.hr.shape for clip in clips]
        same = [clip for clip in clips if clip.hr.shape == max(set(shapes), key=shapes.count)]
        tensors = {
            name: torch.cat([(getattr(clip, name) * 255).round().byte() for clip in same])
            for name in ("lr", "hr")
        }
        write_file(path, save(tensors))
        write_file(path.with_suffix(".json"), json.dumps({"sha256": file_sha256(path)}))


def _iter_missing(
    folder: Path, kind: str, manifest: ShardManifest, report: Report
) -> Iterator[int]:
    """Yield the numbers of files that are missing and not being written by another process."""
    for number in range(manifest.shards):
        path = shard_file(folder, kind, number)
        with hold_lock_file(path.with_suffix(".claim")) as claimed:
            if claimed and not path.with_suffix(".json").is_file():
                yield number
                done = len(list(folder.glob(f"{kind}-*.json")))
                report(ShardProgress(kind, done, manifest.shards, manifest.size_bytes))


def _cut_shard(folder: Path, library: ClipLibrary, manifest: ShardManifest, number: int) -> None:
    runs = draw_runs(library, manifest, number)
    side = manifest.patch // manifest.scale
    records = np.empty((manifest.shard_crops, manifest.crop_bytes), dtype=np.uint8)
    length, at = manifest.clip_length, 0
    for place_of_run, run in enumerate(runs):
        for frame, places in groupby(run.crops, key=lambda place: place.frame):
            rng = np.random.default_rng((manifest.seed, number, place_of_run, frame))
            lr, hr = read_window(library, run, frame, length=length, rng=rng)
            centre = hr[length // 2]
            for place in places:
                window = cut_window(lr, place, side=side)
                truth = cut_picture(centre, place, patch=manifest.patch, scale=manifest.scale)
                records[at] = np.concatenate((window.ravel(), truth.ravel()))
                at += 1
    _write_shard(
        shard_file(folder, "crops", number), records, {"runs": to_json_places(runs, library)}
    )


def _ask_teachers(
    folder: Path,
    library: ClipLibrary,
    manifest: ShardManifest,
    teachers: list[_Teacher],
    number: int,
) -> None:
    pictures = []
    for run in draw_runs(library, manifest, number):
        lr = read_clean_run(library, run)
        upscaled = _upscale(lr, run, teachers, precision=manifest.teacher_precision)
        pictures += [
            cut_picture(
                upscaled[place.frame], place, patch=manifest.patch, scale=manifest.scale
            ).ravel()
            for place in run.crops
        ]
    _write_shard(shard_file(folder, "teacher", number), np.stack(pictures), {})


def _upscale(
    lr: Planes, run: CropRun, teachers: list[_Teacher], *, precision: Literal["fp32", "bf16"]
) -> dict[int, Planes]:
    """Upscale the frames of a run that have crops: the teachers' mean, `(3, H, W)` uint8."""
    frames = sorted({place.frame for place in run.crops})
    clip = torch.from_numpy(np.array(lr))[None].float() / 255
    mean: Tensor | None = None
    reduced = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")
    with torch.inference_mode(), reduced:
        for teacher in teachers:
            sr = teacher.kept.share * _ask(teacher.network, clip, frames).float()
            mean = sr if mean is None else mean + sr
    assert mean is not None
    pictures = (mean.clamp(0, 1) * 255).round().byte().numpy()
    return dict(zip(frames, pictures, strict=True))


def _ask(network: ClipNetwork, clip: Tensor, frames: list[int]) -> Tensor:
    """Upscale to `(F, 3, sH, sW)`, frame by frame where equivalent, to save memory."""
    if isinstance(network.network, WholeClipNetwork):
        sr: Tensor = network(clip, frames)[0]
        return sr
    return torch.cat([network(clip, [frame])[0] for frame in frames])


def _write_shard(path: Path, records: Planes, sidecar: dict[str, Any]) -> None:
    write_file(path, records.tobytes())
    sidecar = {"sha256": file_sha256(path), "crops": len(records), **sidecar}
    write_file(path.with_suffix(".json"), json.dumps(sidecar))
