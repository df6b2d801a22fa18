from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.clip_source import ClipSource
from vsrc.runtime.decode.clips.clip_frames import ClipFrames
from vsrc.runtime.decode.cuts import CutDetector, first_frames, novelty, thumbnail

Luma = NDArray[np.uint8]


def scene(seed: int, *, height: int = 240, width: int = 360) -> Luma:
    """A still with detail of several sizes, `(H, W)`, between 20 and 235."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width))
    for size, weight in ((60, 4.0), (20, 2.0), (5, 1.0)):
        coarse = rng.random((height // size + 1, width // size + 1))
        total += weight * np.kron(coarse, np.ones((size, size)))[:height, :width]
    total -= total.min()
    return np.asarray(20 + 215 * total / total.max(), dtype=np.uint8)


def pan(
    picture: Luma, *, frames: int, step: int, height: int = 180, width: int = 320
) -> list[Luma]:
    return [picture[t : t + height, step * t : step * t + width] for t in range(frames)]


def test_hard_cuts_are_found_at_their_frame() -> None:
    shots = [pan(scene(seed), frames=length, step=3) for seed, length in ((1, 9), (2, 1), (3, 7))]
    assert first_frames(frame for shot in shots for frame in shot) == [0, 9, 10]


@pytest.mark.parametrize("step", [0, 2, 12])
def test_a_pan_is_no_cut(step: int) -> None:
    assert first_frames(pan(scene(4, width=600), frames=20, step=step)) == [0]


def test_a_fade_through_black_is_no_cut_of_the_picture_itself() -> None:
    picture = scene(5).astype(float)
    fade_out = [(picture * (1 - t / 12)).astype(np.uint8) for t in range(13)]
    assert first_frames(fade_out + fade_out[::-1]) == [0]


def test_a_flash_of_light_is_no_cut() -> None:
    picture = scene(6)
    flash = np.clip(picture.astype(int) * 0.4 + 150, 0, 255).astype(np.uint8)
    assert first_frames([picture, picture, flash, picture, picture]) == [0]


def test_a_cut_from_black_is_found() -> None:
    black = np.full((180, 320), 16, np.uint8)
    assert first_frames([black] * 3 + pan(scene(7), frames=4, step=1)) == [0, 3]


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (16, 16), (37, 65)])
def test_small_frames_do_not_break_it(size: tuple[int, int]) -> None:
    frames = [np.random.default_rng(seed).integers(0, 256, size, np.uint8) for seed in (0, 0, 1)]
    assert first_frames(frames)[:1] == [0]


def test_another_size_is_refused() -> None:
    detector = CutDetector()
    detector.feed(np.zeros((20, 30), np.uint8))
    with pytest.raises(ValueError, match="size changed"):
        detector.feed(np.zeros((30, 20), np.uint8))


def test_thumbnail_is_the_mean_of_each_block() -> None:
    picture = np.random.default_rng(8).integers(0, 256, (72, 192), np.uint8)
    blocks = picture.reshape(36, 2, 64, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(thumbnail(picture), blocks, rtol=1e-6)


def test_novelty_is_one_minus_the_best_correlation_of_each_block() -> None:
    rng = np.random.default_rng(9)
    last, here = (rng.integers(0, 256, (12, 20)).astype(np.float32) for _ in range(2))
    padded = np.pad(last, 3, mode="edge").astype(float)
    novelties, weights = [], []
    for left in (0, 6):
        block = here[:, left : left + 12].astype(float)
        matches = [padded[y : y + 12, x + left : x + left + 12] for y in range(7) for x in range(7)]
        best = max(
            (np.mean(m * block) - m.mean() * block.mean() + 9)
            / np.sqrt((m.var() + 9) * (block.var() + 9))
            for m in matches
        )
        novelties.append(1 - best)
        weights.append(block.std() + 2)
    assert novelty(last, here) == pytest.approx(np.average(novelties, weights=weights), abs=1e-6)


@pytest.mark.parametrize(
    ("clip", "cuts"), [("eval/cityCC0.mpg", [0, 116]), ("train/udacity_solidWhiteRight.mp4", [0])]
)
def test_cuts_of_real_clips_are_those_the_eye_sees(clips: Path, clip: str, cuts: list[int]) -> None:
    frames = ClipFrames(ClipSource(clip, (clips / clip,)))
    assert first_frames(frame[..., 1] for frame in frames) == cuts
