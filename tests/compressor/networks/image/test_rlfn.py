from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from skimage.io import imread

from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.image.rlfn import SMALLEST, SpatialAttention
from vsrc.runtime.picture.likeness import psnr

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(("scale", "decibels"), [(4, 32.24)])
def test_set5_is_restored_as_well_as_published(
    reference: Path, scale: int, decibels: float
) -> None:
    network = create("rlfn", scale=scale).eval()
    load_weights(network, reference / "weights" / f"rlfn_x{scale}.pth")
    values = []
    for path in sorted((reference / "data" / "set5_x4").glob("*_HR.png")):
        hr, lr = imread(path), imread(path.with_name(path.name.replace("_HR", "_LR")))
        with torch.inference_mode():
            sr = network(torch.from_numpy(lr).permute(2, 0, 1)[None] / 255)[0]
        picture = (sr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        values.append(psnr(picture, hr[: picture.shape[0], : picture.shape[1]], border=scale))
    assert np.mean(values) == pytest.approx(decibels, abs=0.02)


def test_the_weights_for_twice_the_size_restore_twice_the_size(reference: Path) -> None:
    network = create("rlfn", scale=2).eval()
    load_weights(network, reference / "weights" / "rlfn_x2.pth")
    rows, columns = torch.meshgrid(
        torch.linspace(0, 1, 48), torch.linspace(0, 1, 40), indexing="ij"
    )
    ramp = torch.stack((rows, columns, 1 - rows))[None]
    small = torch.nn.functional.avg_pool2d(ramp, 2)
    with torch.inference_mode():
        # A ramp has no detail that could be lost; its border is another matter.
        inner = (network(small) - ramp)[..., 8:-8, 8:-8]
    assert inner.abs().max() < 0.01


def test_a_picture_too_small_to_pool_is_continued_by_its_edge() -> None:
    torch.manual_seed(0)
    attention = SpatialAttention(8, squeezed=4)
    flat = torch.full((1, 8, SMALLEST, SMALLEST), 0.3)
    with torch.no_grad():
        torch.testing.assert_close(attention(flat[..., :3, :5]), attention(flat)[..., :3, :5])
