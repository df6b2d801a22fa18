from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from skimage.io import imread

from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.picture.fast_resize import bicubic_down
from vsrc.runtime.picture.likeness import psnr

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

FRAMES = 7


@pytest.fixture(scope="module")
def arrays(reference: Path) -> dict[str, NDArray[np.float32]]:
    with np.load(reference / "weights" / "mobile_rrn_16.npz") as stored:
        return dict(stored)


def slow_frames(arrays: dict[str, NDArray[np.float32]], frames: NDArray[np.uint8]) -> list[Tensor]:
    """The released network written out in its own layout: 0..255, and TensorFlow's shuffle."""

    def conv(x: Tensor, name: str) -> Tensor:
        weight, bias = (torch.from_numpy(arrays[f"{name}.{part}"]) for part in "wb")
        return F.conv2d(x, weight, bias, padding=1)

    state = torch.zeros(1, 16, *frames.shape[2:])
    previous = torch.from_numpy(frames[:1]).float()
    restored = []
    for frame in frames:
        current = torch.from_numpy(frame[None]).float()
        x = conv(torch.cat((previous, current, state), 1), "first").relu()
        for block in range(5):
            x = x + conv(conv(x, f"b{block}a").relu(), f"b{block}b")
        state, previous = conv(x, "hid").relu(), current
        out = conv(x, "last")[0].permute(1, 2, 0)
        height, width = out.shape[:2]
        out = out.reshape(height, width, 4, 4, 3).permute(4, 0, 2, 1, 3)
        base = F.interpolate(current, scale_factor=4, mode="bilinear", align_corners=False)[0]
        restored.append((out.reshape(3, 4 * height, 4 * width) + base) / 255)
    return restored


def released(reference: Path, features: int, **arguments: bool | int) -> torch.nn.Module:
    network = create("mobile-rrn", features=features, **arguments).eval()
    load_weights(network, reference / "weights" / f"mobile_rrn_{features}.npz")
    return network


def test_it_gives_what_the_released_arrays_give(
    reference: Path, arrays: dict[str, NDArray[np.float32]]
) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 3, 9, 12), dtype=np.uint8)
    clip = torch.from_numpy(frames)[None].float() / 255
    with torch.inference_mode():
        found = ClipNetwork(released(reference, 16))(clip, range(3))[0]
        expected = torch.stack(slow_frames(arrays, frames))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("features", "calendar", "city"),
    [(16, 21.55, 25.96), (32, 21.80, 26.15), (64, 21.95, 26.30)],
)
def test_vid4_is_restored_as_well_as_published(
    reference: Path, features: int, calendar: float, city: float
) -> None:
    network = ClipNetwork(released(reference, features))
    for name, decibels in (("calendar", calendar), ("city", city)):
        paths = sorted((reference / "data" / "vid4" / name).glob("*.png"))
        hr = np.stack([imread(path) for path in paths])
        lr = torch.from_numpy(bicubic_down(hr.transpose(0, 3, 1, 2), 4))
        measured = range(0, len(hr), 6)
        with torch.inference_mode():
            sr = network(lr[None].float() / 255, measured)[0]
        pictures = (sr.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
        values = [psnr(a, hr[at]) for a, at in zip(pictures, measured, strict=True)]
        assert np.mean(values) == pytest.approx(decibels, abs=0.02)


def test_a_window_gives_what_a_clip_of_its_frames_gives() -> None:
    torch.manual_seed(0)
    clip = torch.rand(2, 5, 3, 8, 6)
    for both in (False, True):
        network = create("mobile-rrn", features=8, blocks=1, window=5, both_directions=both).eval()
        with torch.inference_mode():
            whole = ClipNetwork(network)(clip, [2])[:, 0]
            torch.testing.assert_close(network(clip), whole)


def test_in_both_directions_a_clip_played_backwards_gives_the_same_pictures() -> None:
    torch.manual_seed(0)
    network = create("mobile-rrn", features=8, blocks=1, both_directions=True).eval()
    clip = torch.rand(1, FRAMES, 3, 8, 6)
    with torch.inference_mode():
        forwards = ClipNetwork(network)(clip, range(FRAMES))
        backwards = ClipNetwork(network)(clip.flip(1), range(FRAMES))
    torch.testing.assert_close(backwards.flip(1), forwards)


def test_arrays_of_another_width_are_refused(reference: Path) -> None:
    with pytest.raises(MismatchError, match=r"mobile-rrn \(scale=4\): 25 "):
        load_weights(create("mobile-rrn", features=32), reference / "weights" / "mobile_rrn_16.npz")


def test_a_damaged_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    path.write_bytes(b"PK\x03\x04 cut short")
    with pytest.raises(MismatchError, match=r"weights\.npz .*zip .*download"):
        read_weights(path)
