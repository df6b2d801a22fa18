"""Validation of a network on held-out clips."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from vsrc.compressor.data.dataset import ClipBatch
from vsrc.compressor.features.clip_network import ClipNetwork, clip_for
from vsrc.runtime.picture.bicubic import imresize
from vsrc.runtime.picture.likeness import psnr


def psnr_on(network: nn.Module, clips: Sequence[ClipBatch]) -> float:
    """PSNR of Y of 8-bit frames, dB, without a border of `scale` pixels; mean over frames.

    Args:
        network: Network to evaluate; its training mode is restored afterwards.
        clips: Batches of whole clips; every frame is upscaled, as in a video.
    """
    device = next(network.parameters()).device
    over_clip, was_training = ClipNetwork(network), network.training
    network.eval()
    values: list[float] = []
    for clip in clips:
        with torch.no_grad():
            fed = clip_for(network, lr=clip.lr, hr=clip.hr).to(device)
            sr = over_clip(fed, range(clip.lr.shape[1]))
        border = over_clip.spec.scale
        pairs = zip(_pictures(sr), _pictures(clip.hr), strict=True)
        values += [psnr(picture, truth, border=border) for picture, truth in pairs]
    network.train(was_training)
    return float(np.mean(values))


def bicubic_psnr_on(clips: Sequence[ClipBatch]) -> float:
    """PSNR of MATLAB's bicubic upscaling, measured as by `psnr_on`."""
    values: list[float] = []
    for clip in clips:
        scale = clip.hr.shape[-1] // clip.lr.shape[-1]
        enlarged = imresize(_pictures(clip.lr), numerator=scale, denominator=1)
        pairs = zip(enlarged, _pictures(clip.hr), strict=True)
        values += [psnr(picture, truth, border=scale) for picture, truth in pairs]
    return float(np.mean(values))


def side_by_side(network: nn.Module, clip: ClipBatch) -> Tensor:
    """Centre frame of a clip, `(3, H, 3 W)` in [0, 1]: upscaled LR, SR, HR."""
    device = next(network.parameters()).device
    over_clip, centre = ClipNetwork(network), clip.hr.shape[1] // 2
    with torch.no_grad():
        fed = clip_for(network, lr=clip.lr, hr=clip.hr).to(device)
        sr = over_clip(fed, [centre])[0, 0].cpu()
    hr = clip.hr[0, centre]
    lr = F.interpolate(clip.lr[0, centre : centre + 1], size=hr.shape[1:], mode="bicubic")[0]
    return torch.cat((lr, sr, hr), dim=2).clamp(0, 1)


def _pictures(frames: Tensor) -> NDArray[np.uint8]:
    """Convert `(N, L, 3, H, W)` in [0, 1] to `(N * L, H, W, 3)` uint8."""
    bytes_ = (frames.clamp(0, 1) * 255).round().to(torch.uint8).flatten(0, 1)
    return bytes_.permute(0, 2, 3, 1).cpu().numpy()
