"""Open the shards that a run learns from, if they hold what its settings ask for."""

from __future__ import annotations

from pathlib import Path

from vsrc.compressor.build import Built
from vsrc.compressor.data.crop_shards import CropShards, open_shards
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import MismatchError


def open_shards_for(config: DistillConfig, folder: Path, built: Built) -> CropShards:
    """Open a folder of shards for a run; hashes are not checked.

    Raises:
        DataError: It is not a folder of shards, or files are missing.
        MismatchError: Its crops do not match the settings of the run.
        ValueError: The run needs what no shards hold, or what these do not hold.
    """
    shards = open_shards(folder)
    manifest = shards.manifest
    for name in ("scale", "degradation", "clip_length", "patch"):
        if (there := getattr(manifest, name)) != getattr(config, name):
            raise MismatchError(
                f"{folder} holds crops of {name}={there}, this run has {getattr(config, name)}: "
                f"--set {name}={there}, or make other shards"
            )
    if config.targets == "all":
        raise ValueError("targets='all': shards hold only the centre frame; expected 'centre'")
    needs_teacher = built.distillation.objective.needs_teacher
    if needs_teacher and not manifest.teachers:
        raise ValueError(
            f"{folder} was made without a teacher, which objective {config.objective} needs: run "
            "vsrc shard on it again with --teacher"
        )
    shards.files_of_run(with_teacher=needs_teacher)  # raises if some are missing
    return shards
