"""PSNR over pairs of pictures, as papers on still pictures state it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from skimage.io import imread
from torch import Tensor

from vsrc.runtime.picture.likeness import psnr


def mean_psnr(network: Callable[[Tensor], Tensor], folder: Path) -> float:
    """Mean PSNR of Y in dB, 4 pixels left out at each edge, over the pairs of a folder."""
    values = []
    for path in sorted(folder.glob("*_LR.png")):
        lr, hr = (
            _in_colour(imread(path.with_name(path.name.replace("LR", k)))) for k in ("LR", "HR")
        )
        with torch.no_grad():
            sr = network(torch.from_numpy(lr).permute(2, 0, 1)[None] / 255)
        picture = sr[0].clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).numpy()
        values.append(psnr(picture, hr, border=4))
    assert values
    return float(np.mean(values))


def _in_colour(picture: np.ndarray) -> np.ndarray:
    return np.stack([picture] * 3, axis=-1) if picture.ndim == 2 else picture
