"""Move a camera over a photograph: sub-pixel pans, slight zoom and roll, and parallax."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

HEIGHT, WIDTH, LENGTH = 360, 640, 15


def camera_path(picture: NDArray[np.uint8], *, seed: int, name: str) -> Iterator[NDArray[np.uint8]]:
    """Yield `LENGTH` frames; they are a function of the picture, its name and the seed.

    Frames have `HEIGHT x WIDTH` pixels, fewer where the picture is not larger than that.

    The speed is log-uniform in 0.1 to 6 pixels a frame. Parallax: the displacement of a pixel is
    scaled by 1 + depth, where depth is a smooth random field of standard deviation about 0.25, so
    neighbouring parts move differently, as they do behind a real camera.
    """
    rng = np.random.default_rng([zlib.crc32(name.encode()), seed])
    rows, columns = picture.shape[:2]
    height = min(HEIGHT, rows * 15 // 128 * 8)
    width = min(WIDTH, columns * 15 // 128 * 8)
    speed = np.exp(rng.uniform(np.log(0.1), np.log(6.0)))
    angle = rng.uniform(0, 2 * np.pi)
    velocity = speed * np.array([np.sin(angle), np.cos(angle)])
    zoom_rate, roll_rate = rng.normal(0, 0.0015), rng.normal(0, 0.0008)
    sway, phase = rng.uniform(0, 1.0), rng.uniform(0, 2 * np.pi, 2)
    zoom = rng.uniform(0.85, 1.2)
    margin = 1.6 * speed * LENGTH / 2 + 24
    half = np.array([height, width]) / 2 * zoom + margin
    low, high = half, np.array([rows, columns]) - half
    centre = rng.uniform(np.minimum(low, high), np.maximum(low, high))
    depth = 1 + 0.25 * _smooth_field(rng, picture.shape[:2])
    corner = np.array([height - 1, width - 1]) / 2
    grid = np.stack(np.meshgrid(np.arange(height), np.arange(width), indexing="ij"), -1) - corner
    for step in range(LENGTH):
        time = step - LENGTH // 2
        size = zoom * np.exp(zoom_rate * time)
        turn = roll_rate * time
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        still = centre + size * (grid @ rotation.T)
        nearness = _sample(depth, still)[..., None]
        moved = still + nearness * (velocity * time + sway * np.sin(phase + 0.9 * time))
        yield _sample(picture, moved)


def _smooth_field(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.float32]:
    coarse = rng.normal(size=(7, 11)).astype(np.float32)
    return cv2.resize(coarse, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC).astype(
        np.float32
    )


def _sample(source: NDArray[Any], where: NDArray[np.float64]) -> NDArray[Any]:
    """Lanczos, so that the frame is as sharp as the photograph; mirrored beyond its edge."""
    y, x = where[..., 0].astype(np.float32), where[..., 1].astype(np.float32)
    mirrored = cv2.BORDER_REFLECT
    sampled: NDArray[Any] = cv2.remap(source, x, y, cv2.INTER_LANCZOS4, borderMode=mirrored)
    return sampled
