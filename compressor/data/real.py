"""Degradation `real`: blur, noise and compression of real videos, drawn once per clip.

    HR --> blur --> resize --> noise --> resize to LR --> JPEG --> video codec --> LR

Four clips of five are only resized to LR and compressed, as sharp sources are when published. The
codec sees frames before and after the clip, too: a group of pictures seldom begins with a window.
The order and kind of the steps follow RealBasicVSR (Chan et al. 2022, section 4) and Real-ESRGAN
(Wang et al. 2021, section 3), with one round instead of two. Everything is a function of the draw
and of the random generator: encoders run on one thread, so that the same clip gives the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vsrc.compressor.data.coded import Codec, check_encoders, code
from vsrc.runtime.picture.fast_resize import Planes

Resize = Literal["area", "bilinear", "bicubic"]
_RESIZES: tuple[Resize, ...] = ("area", "bilinear", "bicubic")
_CODECS: dict[Codec, tuple[float, tuple[int, int]]] = {
    "libx264": (0.4, (18, 36)),
    "libx265": (0.2, (20, 36)),
    "libvpx-vp9": (0.15, (24, 52)),
    "mpeg4": (0.1, (2, 13)),
    "mpeg2video": (0.15, (2, 13)),
}
"""Frequency of each codec, and the range of its quality: the last value is excluded."""

_COMPRESSED_ONLY = 0.8
"""Fraction of clips that are only resized and compressed."""

_AROUND = (0, 9)
"""Number of frames coded before a clip, and after it: the last value is excluded."""

_KERNEL = 15
"""Side of the blur kernel, HR pixels."""


@dataclass(frozen=True)
class RealDraw:
    """Parameters of the degradation of one clip.

    Attributes:
        sigmas: Standard deviations of the blur along its two axes, HR pixels; 0 for none.
        angle: Angle of the blur's first axis, radians.
        middle: Side of the frame when noise is added, as a fraction of HR.
        resizes: Filters of the resize to that size, and from there to LR.
        gaussian_noise: Standard deviation of the Gaussian noise, 0..255.
        grey_noise: Whether R, G and B get the same noise.
        shot_noise: Standard deviation of the shot noise at white, 0..255; proportional to the
            square root of the intensity.
        jpeg: JPEG quantiser of each frame, 2 (fine) to 31 (coarse); 0 for none.
        codec: Video codec; None for none.
        quality: Quantiser of the codec, in its own unit.
        before: Number of frames before the clip that are coded with it and cut away.
        after: Number of frames after the clip, likewise.
    """

    sigmas: tuple[float, float]
    angle: float
    middle: float
    resizes: tuple[Resize, Resize]
    gaussian_noise: float
    grey_noise: bool
    shot_noise: float
    jpeg: int
    codec: Codec | None
    quality: int
    before: int = 0
    after: int = 0


def check_codecs() -> None:
    """Check early that FFmpeg has every codec that may be drawn.

    Raises:
        MissingDependencyError: This build of FFmpeg lacks one.
    """
    check_encoders(("mjpeg", *_CODECS))


def draw_real(rng: np.random.Generator, *, scale: int) -> RealDraw:
    """Draw the degradation of a clip; most clips get some of the steps, few get all."""
    if rng.random() < _COMPRESSED_ONLY:
        return _draw_compressed(rng)
    sharp = rng.random() < 0.2
    sigmas = (0.0, 0.0) if sharp else tuple(rng.uniform(0.2, 0.75 * scale, 2))
    noise = rng.random()
    codec, quality = _draw_codec(rng) if rng.random() < 0.8 else (None, 0)
    return RealDraw(
        sigmas=(float(sigmas[0]), float(sigmas[1])),
        angle=float(rng.uniform(0, np.pi)),
        middle=float(rng.uniform(1 / scale, 1)),
        resizes=(_RESIZES[rng.integers(3)], _RESIZES[rng.integers(3)]),
        gaussian_noise=float(rng.uniform(1, 12)) if noise < 0.4 else 0.0,
        grey_noise=bool(rng.random() < 0.4),
        shot_noise=float(rng.uniform(1, 12)) if noise > 0.7 else 0.0,
        jpeg=int(rng.integers(2, 13)) if rng.random() < 0.4 else 0,
        codec=codec,
        quality=quality,
        before=int(rng.integers(*_AROUND)),
        after=int(rng.integers(*_AROUND)),
    )


def _draw_compressed(rng: np.random.Generator) -> RealDraw:
    resize = _RESIZES[rng.integers(3)]
    codec, quality = _draw_codec(rng)
    return RealDraw(
        sigmas=(0.0, 0.0),
        angle=0.0,
        middle=1.0,
        resizes=(resize, resize),
        gaussian_noise=0.0,
        grey_noise=False,
        shot_noise=0.0,
        jpeg=0,
        codec=codec,
        quality=quality,
        before=int(rng.integers(*_AROUND)),
        after=int(rng.integers(*_AROUND)),
    )


def _draw_codec(rng: np.random.Generator) -> tuple[Codec, int]:
    names = list(_CODECS)
    codec = names[rng.choice(len(names), p=[_CODECS[name][0] for name in names])]
    return codec, int(rng.integers(*_CODECS[codec][1]))


def degrade_real(hr: Planes, *, scale: int, draw: RealDraw, rng: np.random.Generator) -> Planes:
    """Degrade HR frames to LR, all of them: those around a clip are cut away by the caller.

    Args:
        hr: `(L, 3, H, W)` uint8 RGB, H and W multiples of the scale.
        scale: HR/LR side ratio.
        draw: Parameters of the degradation.
        rng: Random generator of the noise.

    Returns:
        `(L, 3, H / scale, W / scale)` uint8 RGB.
    """
    height, width = hr.shape[2:]
    size = (height // scale, width // scale)
    middle = (max(size[0], round(height * draw.middle)), max(size[1], round(width * draw.middle)))
    frames = torch.from_numpy(hr.astype(np.float32))
    if draw.sigmas != (0.0, 0.0):
        frames = _blur(frames, draw.sigmas, draw.angle)
    frames = _resize(frames, middle, draw.resizes[0])
    frames = _noisy(frames, draw, rng)
    frames = _resize(frames, size, draw.resizes[1])
    pictures = np.asarray(frames.round_().clamp_(0, 255).to(torch.uint8).numpy())
    if draw.jpeg:
        pictures = code(pictures, "mjpeg", quality=draw.jpeg)
    if draw.codec:
        pictures = code(pictures, draw.codec, quality=draw.quality)
    return pictures


def _blur(frames: Tensor, sigmas: tuple[float, float], angle: float) -> Tensor:
    """Blur with a rotated anisotropic Gaussian; `(L, 3, H, W)`."""
    axis = torch.arange(_KERNEL, dtype=torch.float32) - _KERNEL // 2
    down, right = torch.meshgrid(axis, axis, indexing="ij")
    along = (right * np.cos(angle) + down * np.sin(angle)) / sigmas[0]
    across = (down * np.cos(angle) - right * np.sin(angle)) / sigmas[1]
    kernel = torch.exp(-(along**2 + across**2) / 2)
    kernel /= kernel.sum()
    # All planes as channels of one image: torch has a ten times faster path for that.
    planes = frames.flatten(0, 1)[None]
    padded = F.pad(planes, (_KERNEL // 2,) * 4, mode="replicate")
    weights = kernel.expand(planes.shape[1], 1, _KERNEL, _KERNEL)
    return F.conv2d(padded, weights, groups=planes.shape[1]).view_as(frames)


def _resize(frames: Tensor, size: tuple[int, int], how: Resize) -> Tensor:
    if tuple(frames.shape[2:]) == size:
        return frames
    if how == "area":
        return F.interpolate(frames, size, mode="area")
    return F.interpolate(frames, size, mode=how, antialias=True)


def _noisy(frames: Tensor, draw: RealDraw, rng: np.random.Generator) -> Tensor:
    if not draw.gaussian_noise and not draw.shot_noise:
        return frames
    count, channels, height, width = frames.shape
    shape = (count, 1 if draw.grey_noise else channels, height, width)
    noise = torch.from_numpy(rng.standard_normal(shape, dtype=np.float32))
    light = (frames.clamp(0, 255) / 255).sqrt()
    return frames + noise * (draw.gaussian_noise + draw.shot_noise * light)
