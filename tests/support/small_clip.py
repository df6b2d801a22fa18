"""Small clips for tests that run whole commands."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def write_small_clip(
    path: Path, *, frames: int = 4, width: int = 48, height: int = 32, seed: int = 0
) -> Path:
    """Write coarse noise that changes from frame to frame, as H.264 at 25 frames/s."""
    import av

    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for _ in range(frames):
            coarse = rng.integers(16, 240, (height // 8, width // 8, 3), dtype=np.uint8)
            rgb = coarse.repeat(8, 0).repeat(8, 1)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, "rgb24")))
        container.mux(stream.encode(None))
    return path
