"""Lanczos resampling as a session: what a player or `ffmpeg -vf scale` does without a network."""

from __future__ import annotations

import numpy as np

from vsrc.runtime.pixels import Pixels, Pixels8
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows.session import check_windows

_REACH = 3
"""Lobes of swscale's Lanczos filter: the receptive field on one side, LR pixels."""

_ANY_SIDE = (1, 1 << 16)


class LanczosSession:
    """Upscale each frame by Lanczos of FFmpeg's swscale.

    Args:
        scale: Integer SR/LR side ratio.
    """

    def __init__(self, scale: int) -> None:
        self.label = "swscale lanczos"
        self.network = NetworkSpec(
            name="lanczos",
            arguments={},
            scale=scale,
            window=1,
            halo=_REACH,
            parameters=0,
            gmac_per_lr_pixel=0.0,
        )
        self.graph = GraphSpec(
            file="lanczos",
            sha256="0" * 64,
            size_bytes=0,
            precision="fp32",
            io="uint8",
            opset=1,
            height=_ANY_SIDE,
            width=_ANY_SIDE,
            batch=_ANY_SIDE,
        )

    def __call__(self, lr: Pixels, /) -> Pixels:
        """Upscale windows; see `Session`."""
        check_windows(lr, self.network, self.graph)
        return np.stack([_upscale(window[0], self.network.scale) for window in lr])

    def close(self) -> None:
        """Do nothing: there is nothing to free."""


def _upscale(rgb: Pixels, scale: int) -> Pixels8:
    """Upscale a frame, `(H, W, 3)` uint8 RGB, to `(sH, sW, 3)`."""
    import av
    from av.video.reformatter import Interpolation

    height, width = rgb.shape[:2]
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    larger = frame.reformat(
        width=width * scale,
        height=height * scale,
        interpolation=Interpolation.LANCZOS,
        threads=1,
    )
    return np.asarray(larger.to_ndarray(), dtype=np.uint8)
