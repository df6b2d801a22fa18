"""Read panoramas that a package holds as EXR in JavaScript, as pictures of 8 bits.

`@pmndrs/assets` has panoramas of Poly Haven (CC0) of 256x512 (HxW) pixels: each file is a module
whose only value is a data URL.
"""

from __future__ import annotations

import base64
import io
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

_WHITE = 92
"""Percentile of the light that becomes nearly white: above it are windows, lamps and the sun."""


def read_panorama(path: Path) -> NDArray[np.uint8]:
    """Read one `NAME.exr.js` as `(H, W, 3)` RGB, encoded with a gamma of 2.2."""
    _, _, data = path.read_text(encoding="ascii").partition(";base64,")
    exr = base64.b64decode(data.rstrip().rstrip(";").rstrip("'\""))
    with av.open(io.BytesIO(exr), "r", format="exr_pipe") as container:
        frame = next(container.decode(video=0))
    assert frame.format.name == "gbrpf16le", frame.format.name
    green, blue, red = (
        np.frombuffer(bytes(plane), np.float16).reshape(frame.height, -1)[:, : frame.width]
        for plane in frame.planes
    )
    light = np.stack([red, green, blue], -1).astype(np.float32)
    for _ in range(3):  # EXR's lossy codec writes negative light around lamps
        light = np.where(light < 0, cv2.dilate(light, np.ones((3, 3), np.uint8)), light)
    shown = np.clip(light / (1.1 * np.percentile(light, _WHITE)), 0, 1) ** (1 / 2.2)
    pixels: NDArray[np.uint8] = np.rint(255 * shown).astype(np.uint8)
    return pixels
