"""The gate of backends whose kernels the export check did not run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vsrc.runtime.backends.picture_gate import compare_pictures, require_same_pictures
from vsrc.runtime.errors import GateError
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import downscale, upscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.session import Session


class Bicubic:
    """Enlarges the centre, and adds noise."""

    graph = GraphSpec("none", "", 0, "fp32", "uint8", 18, (1, 999), (1, 999), (1, 9))

    def __init__(self, *, noise: float = 0.0, scale: int = 4, label: str = "bicubic") -> None:
        self.label, self.noise = label, noise
        self.network = NetworkSpec("b", {}, scale, 3, halo=4, parameters=0, gmac_per_lr_pixel=0)
        self.is_closed = False

    def __call__(self, lr: Pixels8, /) -> Pixels8:
        sr = upscale(lr[:, 1], self.network.scale).astype(np.float64)
        noise = np.random.default_rng(0).normal(0, self.noise, sr.shape)
        return np.clip(np.rint(sr + noise), 0, 255).astype(np.uint8)

    def close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_equal_pictures_pass(scale: int) -> None:
    check = compare_pictures(Bicubic(scale=scale), Bicubic(scale=scale))
    assert check.psnr_db == float("inf")
    assert check.gain_db == 0
    assert check.passed


def test_both_numbers_are_those_of_the_sample_clip() -> None:
    left, right = Bicubic(noise=2.0), Bicubic()
    truth = sample_frames(3)[1]
    lr = downscale(truth, 4)[None, None].repeat(3, 1)
    made, expected = left(lr)[0], right(lr)[0]
    check = compare_pictures(left, right)
    assert check.psnr_db == pytest.approx(psnr(made, expected, y_only=False))
    gain = psnr(made, truth, y_only=False) - psnr(expected, truth, y_only=False)
    assert check.gain_db == pytest.approx(gain)


@pytest.mark.parametrize(("noise", "passes"), [(0.5, True), (1.5, True), (3.0, False)])
def test_less_than_40_db_is_refused(noise: float, passes: bool) -> None:
    # Noise of sigma 2.55 is 40 dB.
    reference = Bicubic()
    if passes:
        require_same_pictures(Bicubic(noise=noise), lambda: reference)
    else:
        with pytest.raises(GateError, match=r"noisy .*ort-cpu .*38\..* dB") as caught:
            require_same_pictures(
                Bicubic(noise=noise, label="noisy"), lambda: relabelled(reference)
            )
        assert caught.value.exit_status == 4
    assert reference.is_closed


def relabelled(session: Bicubic) -> Session:
    session.label = "ort-cpu fp32"
    return session


def test_a_loss_against_the_original_is_refused() -> None:
    class Sharp(Bicubic):
        """Is close to the original, so that little makes it worse."""

        def __call__(self, lr: Pixels8, /) -> Pixels8:
            assert lr.shape == (1, 3, 90, 160, 3)
            truth = sample_frames(3)[1]
            return np.asarray(np.clip(truth[None].astype(int) + 1, 0, 255), np.uint8)

    class Darker(Sharp):
        def __call__(self, lr: Pixels8, /) -> Pixels8:
            return np.asarray(np.clip(super().__call__(lr).astype(int) - 3, 0, 255), np.uint8)

    check = compare_pictures(Darker(), Sharp())
    assert check.psnr_db > 38
    assert check.gain_db < -0.1
    assert not check.passed


def test_a_fixed_size_is_fed(tiny_package: Path) -> None:
    package = open_package(tiny_package)
    session = package.session(backend="ort", precision="fp32")
    session.graph = replace(session.graph, height=(200, 200), width=(33, 33))
    check = compare_pictures(session, session)
    assert check.passed
