"""Tiny clips to train with, made in code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from support.noise_clips import NoiseClips


@pytest.fixture
def noise_clips() -> Callable[..., NoiseClips]:
    """`noise_clips(clips=2, length=3, side=8)`: where a trainer takes its batches from."""
    from support.noise_clips import NoiseClips

    return NoiseClips
