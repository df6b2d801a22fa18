"""Compare the magnitude of two networks' features on the sample clip."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from vsrc.compressor.features.clip_network import ClipNetwork, clip_for, clip_length
from vsrc.compressor.features.taps import open_taps, spec_of, unwrap
from vsrc.runtime.sample import sample_frames

logger = logging.getLogger(__name__)

MOST_RATIO = 10.0
"""Ratio of magnitudes from which two networks count as working in different ranges of values."""

_SIDE = 48
"""Side of the LR crop, pixels."""


def teacher_factors(
    name: str,
    *,
    student: nn.Module,
    teacher: nn.Module,
    pairs: Sequence[tuple[str, str]],
    given: float,
) -> tuple[float, ...]:
    """Factors that bring features of a teacher into the range of the student's.

    Distances between features depend on their magnitude: networks that work in 0..255, such as
    RLFN, RCAN and EDSR, have features hundreds of times as large as those that work in 0..1.

    Args:
        name: Objective, for the log.
        student: Network that is trained, as it starts.
        teacher: Network that is imitated.
        pairs: Module paths in the student and in the teacher that are compared.
        given: Factor of all pairs; 0 measures one for each.

    Returns:
        A factor for each pair. Measured ones are 1 if the root mean squares of both features on the
        sample clip differ by less than `MOST_RATIO`, else their ratio.
    """
    if given:
        return (given,) * len(pairs)
    ours = _root_mean_squares(student, [path for path, _ in pairs])
    theirs = _root_mean_squares(teacher, [path for _, path in pairs])
    factors = []
    for left, right in pairs:
        ratio = theirs[right] / ours[left] if ours[left] > 0 and theirs[right] > 0 else 1.0
        is_alike = 1 / MOST_RATIO < ratio < MOST_RATIO
        factors.append(1.0 if is_alike else 1 / ratio)
        if not is_alike:
            logger.warning(
                "%s: features %s of the teacher are %.3g times as large as %s of the student: "
                "multiplying them by %.3g (teacher_scale=1 compares them as they are)",
                *(name, right, ratio, left, 1 / ratio),
            )
    return tuple(factors)


def _root_mean_squares(network: nn.Module, paths: Sequence[str]) -> dict[str, float]:
    bare = unwrap(network)
    spec, device = spec_of(bare), next(bare.parameters()).device
    length = clip_length(spec)
    lr, hr = _clip(length, scale=spec.scale, multiple=spec.size_multiple)
    was_training = bare.training
    try:
        bare.eval()
        with torch.no_grad(), open_taps(bare, paths) as features:
            fed = clip_for(bare, lr=lr.to(device), hr=hr.to(device))
            ClipNetwork(bare)(fed, [length // 2])
            return {path: float(features[path].float().square().mean().sqrt()) for path in paths}
    finally:
        bare.train(was_training)


def _clip(length: int, *, scale: int, multiple: int) -> tuple[Tensor, Tensor]:
    """LR and HR frames of the sample clip, `(1, length, 3, H, W)` in [0, 1]."""
    frames = torch.from_numpy(sample_frames(length)).permute(0, 3, 1, 2) / 255
    side = -(-_SIDE // multiple) * multiple
    hr = nn.functional.interpolate(frames, size=(side * scale, side * scale), mode="area")
    lr = nn.functional.interpolate(hr, size=(side, side), mode="area")
    return lr[None], hr[None]
