"""Compare the settings that a checkpoint was made with to those of a run that resumes it."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import MISSING
from pathlib import Path

from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.schema import to_json


def check_settings(recorded: str, wanted: str, *, where: Path) -> None:
    """Check that a run has the settings of the checkpoint it resumes.

    Batches may have another size where an update takes as many clips: they are the same ones.

    Args:
        recorded: Settings of the checkpoint, JSON.
        wanted: Settings of the run, JSON.
        where: The checkpoint, for the message.

    Raises:
        MismatchError: They differ.
    """
    # Settings missing in a run of an older version had the present default.
    old, new = {**_defaults(), **json.loads(recorded)}, {**_defaults(), **json.loads(wanted)}
    differing = {key for key in old.keys() | new.keys() if old.get(key) != new.get(key)}
    if _clips_per_update(old) == _clips_per_update(new):
        differing -= {"batch", "accumulate"}
    if differing:
        key = min(differing)
        raise MismatchError(
            f"{where} was made with {key}={old.get(key)!r}, this run has {new.get(key)!r}; give "
            "the same setting to resume it, or another run folder (--run-dir) to start over"
        )


def _clips_per_update(settings: dict[str, object]) -> object:
    batch, accumulate = settings.get("batch"), settings.get("accumulate")
    if isinstance(batch, int) and isinstance(accumulate, int):
        return batch * accumulate
    return batch, accumulate


def _defaults() -> dict[str, object]:
    """Defaults of the settings, as a recipe records them."""
    settings = dataclasses.fields(DistillConfig)
    return {
        setting.name: to_json(
            setting.default if setting.default_factory is MISSING else setting.default_factory()
        )
        for setting in settings
        if setting.default is not MISSING or setting.default_factory is not MISSING
    }
