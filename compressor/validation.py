"""How good a network is on clips it was not taught from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from vsrc.compressor.clip_network import ClipNetwork, clip_for
from vsrc.compressor.data.dataset import Batch
from vsrc.runtime.quality import psnr


def psnr_on(network: nn.Module, clips: Sequence[Batch]) -> float:
    """PSNR of Y, dB, of 8-bit pictures without their border of `scale` pixels; mean over frames.

    Args:
        network: In evaluation mode when this returns as it was before.
        clips: Batches of whole clips; every frame is restored, as it would be in a video.
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


def _pictures(frames: Tensor) -> NDArray[np.uint8]:
    """`(N, L, 3, H, W)` in [0, 1] to `(N * L, H, W, 3)` uint8."""
    bytes_ = (frames.clamp(0, 1) * 255).round().to(torch.uint8).flatten(0, 1)
    return bytes_.permute(0, 2, 3, 1).cpu().numpy()
