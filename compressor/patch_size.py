"""Fit the side of crops to the scale."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TypeVar

from vsrc.compressor.shard_config import ShardConfig
from vsrc.compressor.training.config import DistillConfig

logger = logging.getLogger(__name__)

_Config = TypeVar("_Config", DistillConfig, ShardConfig)


def round_patch(config: _Config) -> _Config:
    """Return the configuration with `patch` rounded down to a multiple of `scale`; says so.

    Raises:
        ValueError: The patch is smaller than the scale.
    """
    rounded = config.patch // config.scale * config.scale
    if rounded == config.patch:
        return config
    if rounded <= 0:
        raise ValueError(f"patch={config.patch} must be at least scale={config.scale}, HR pixels")
    logger.warning(
        "patch=%d is not a multiple of scale=%d: using patch=%d",
        *(config.patch, config.scale, rounded),
    )
    return replace(config, patch=rounded)
