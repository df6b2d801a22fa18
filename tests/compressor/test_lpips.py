from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor, nn

from vsrc.compressor.lpips import lpips_kind
from vsrc.runtime.errors import MismatchError, MissingDependencyError

WIDTHS = (64, 64, 0, 128, 128, 0, 256, 256, 256, 0, 512, 512, 512, 0, 512, 512, 512)
"""VGG16 as the paper lists it; 0 is pooling."""


@pytest.fixture(scope="module")
def vgg() -> nn.Sequential:
    """The same layers as a plain list, random weights."""
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    channels = 3
    for width in WIDTHS:
        if width:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
        else:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers).eval()


@pytest.fixture(scope="module")
def files(vgg: nn.Sequential, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("lpips")
    save_file({f"features.{k}": v for k, v in vgg.state_dict().items()}, folder / "vgg.safetensors")
    heads = {
        f"lin{number}.model.1.weight": torch.rand(1, width, 1, 1)
        for number, width in enumerate((64, 128, 256, 512, 512))
    }
    torch.save(heads, folder / "heads.pth")
    return folder / "vgg.safetensors", folder / "heads.pth"


def plainly(vgg: nn.Sequential, heads: dict[str, Tensor], sr: Tensor, truth: Tensor) -> Tensor:
    """Equation 1 of the paper, picture by picture, `(3, H, W)` in 0..255."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    total = torch.zeros(())
    features = []
    for picture in (sr, truth):
        # The published shift and scale are ImageNet's for [-1, 1], to three digits.
        x = (picture / 255 - mean[:, None, None]) / deviation[:, None, None]
        taps = []
        for number, layer in enumerate(vgg):
            x = layer(x)
            if number in (3, 8, 15, 22, 29):  # relu1_2, relu2_2, relu3_3, relu4_3, relu5_3
                taps.append(F.normalize(x, dim=0))
        features.append(taps)
    for number, (left, right) in enumerate(zip(*features, strict=True)):
        weight = heads[f"lin{number}.model.1.weight"][0]
        total += (weight * (left - right) ** 2).sum(0).mean()
    return total


def test_it_is_the_distance_of_the_paper(vgg: nn.Sequential, files: tuple[Path, Path]) -> None:
    rng = np.random.default_rng(1)
    sr, truth = (rng.integers(0, 256, (40, 52, 3), np.uint8) for _ in range(2))
    metric = lpips_kind(*files).create(3)
    metric.add(sr, truth)
    inner = [torch.from_numpy(f[3:-3, 3:-3].copy()).permute(2, 0, 1) for f in (sr, truth)]
    with torch.no_grad():
        expected = plainly(vgg, torch.load(files[1], weights_only=True), *inner)
    # The published constants are rounded to three digits, which the first layer sees.
    assert metric.result()["lpips"] == pytest.approx(float(expected), rel=1e-3)


def test_equal_frames_are_at_distance_0_and_the_mean_is_over_frames(
    files: tuple[Path, Path],
) -> None:
    frames = np.random.default_rng(2).integers(0, 256, (2, 32, 32, 3), np.uint8)
    metric = lpips_kind(*files).create(0)
    metric.add(frames[0], frames[0])
    assert metric.result()["lpips"] == pytest.approx(0, abs=1e-7)
    alone = lpips_kind(*files).create(0)
    alone.add(frames[0], frames[1])
    metric.add(frames[0], frames[1])
    value = alone.result()["lpips"]
    assert value is not None
    assert metric.result()["lpips"] == pytest.approx(value / 2, rel=1e-5)


def test_small_frames_have_no_value(files: tuple[Path, Path]) -> None:
    metric = lpips_kind(*files).create(1)
    metric.add(np.zeros((17, 40, 3), np.uint8), np.zeros((17, 40, 3), np.uint8))
    assert metric.result() == {"lpips": None}


def test_missing_and_wrong_files_are_named(files: tuple[Path, Path], reference: Path) -> None:
    vgg, heads = files
    with pytest.raises(MissingDependencyError, match=r"vgg16-397923af\.pth"):
        lpips_kind(vgg, None)
    with pytest.raises(MismatchError, match=r"vgg\.safetensors .*lin0\.weight.*\[None, None"):
        lpips_kind(vgg, vgg)
    cut = reference / "weights" / "vgg16_features_fp16.safetensors"
    with pytest.raises(MismatchError, match=r"features\.26\.weight; .*13"):
        lpips_kind(cut, heads)


def test_published_weights_of_the_channels_are_read(
    files: tuple[Path, Path], reference: Path
) -> None:
    lpips_kind(files[0], reference / "weights" / "lpips_vgg16_linear.safetensors")
