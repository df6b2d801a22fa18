from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from skimage.io import imread

from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.image.etds import output_channels
from vsrc.runtime.picture.likeness import psnr

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("file", "features", "blocks", "decibels"),
    [("etds_s_x4.pth", 32, 4, 31.211), ("etds_l_x4.pth", 48, 7, 31.709)],
)
def test_set5_is_restored_as_well_as_published(
    reference: Path, file: str, features: int, blocks: int, decibels: float
) -> None:
    network = create("etds", features=features, blocks=blocks).eval()
    load_weights(network, reference / "weights" / file)
    values = []
    for path in sorted((reference / "data" / "set5_x4").glob("*_HR.png")):
        hr, lr = imread(path), imread(path.with_name(path.name.replace("_HR", "_LR")))
        with torch.inference_mode():
            sr = network(torch.from_numpy(lr).permute(2, 0, 1)[None] / 255)[0]
        picture = (sr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        values.append(psnr(picture, hr[: picture.shape[0], : picture.shape[1]], border=4))
    assert np.mean(values) == pytest.approx(decibels, abs=0.002)


def test_channels_beyond_the_shuffle_are_dropped() -> None:
    assert [output_channels(scale) for scale in (2, 3, 4)] == [12, 28, 48]
    network = create("etds", scale=3, features=8, blocks=1)
    picture = torch.rand(1, 3, 6, 5)
    sr = network(picture)
    assert sr.shape == (1, 3, 18, 15)
    with torch.no_grad():
        network.get_parameter("conv_clip.bias")[27] += 1.0
    torch.testing.assert_close(network(picture), sr)
