"""Draw the pictures of README and docs: crops of frames, upscaled in several ways, side by side.

    python -m vsrc.benchmarks.pictures

Frames of the sample clip, which no model was trained on, are downscaled by 4 (MATLAB's bicubic; for
`models-*.png` also coded), and upscaled by Lanczos and by the models that ship.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from vsrc.runtime.candidates.lanczos import LanczosSession
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.shipped_models import shipped

Frames = NDArray[np.uint8]

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
SCALE = 4
FRAME = 100
RADIUS = 2
ZOOM = 2
CAPTION = 26
GAP = 6


@dataclass(frozen=True)
class Region:
    """Part of the HR frame that is shown, pixels."""

    left: int
    top: int
    width: int
    height: int

    def of(self, frame: Frames) -> Frames:
        """Crop a frame, `(H, W, 3)`."""
        rows = slice(self.top, self.top + self.height)
        return frame[rows, self.left : self.left + self.width]


SHOWN = Region(216, 96, 208, 156)


def main() -> None:
    """Write all pictures."""
    hr = np.stack(list(sample_frames(FRAME + RADIUS + 1))[FRAME - RADIUS :])
    lr = np.stack([downscale(frame, SCALE) for frame in hr])
    truth = hr[RADIUS]
    rows = {
        "upscaled.png": ways(lr, truth, ("edge-m",)),
        "models-clean.png": ways(lr, truth, ("edge-m", "edge-m-real"))[1:],
        "models-compressed.png": ways(coded(lr, crf=26), truth, ("edge-m", "edge-m-real"))[1:],
    }
    for name, panels in rows.items():
        side_by_side(panels).save(IMAGES / name, optimize=True)
        print(IMAGES / name, ", ".join(caption for caption, _ in panels))


def ways(lr: Frames, truth: Frames, models: Sequence[str]) -> list[tuple[str, Frames]]:
    """Caption and frame of the LR input, of Lanczos and of each model."""
    enlarged = lr[RADIUS].repeat(SCALE, 0).repeat(SCALE, 1)
    made = {"Lanczos": LanczosSession(SCALE)(lr[None, RADIUS : RADIUS + 1])[0]}
    for model in models:
        session = open_package(shipped(model)).session(precision="fp32")
        made[f"vsrc, {model}"] = session(lr[None])[0]
        session.close()
    size = f"{lr.shape[2]}x{lr.shape[1]}"
    panels = [(f"input, {size}", enlarged)]
    return panels + [
        (f"{name}, {psnr(np.asarray(frame, np.uint8), truth):.2f} dB", np.asarray(frame, np.uint8))
        for name, frame in made.items()
    ]


def coded(frames: Frames, *, crf: int) -> Frames:
    """Frames after H.264 at a quality."""
    import av

    buffer = io.BytesIO()
    height, width = frames.shape[1:3]
    with av.open(buffer, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=Fraction(24), options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for rgb in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer, "r") as container:
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    return np.stack(decoded)


def side_by_side(panels: Sequence[tuple[str, Frames]]) -> Image.Image:
    """Panels of the shown region in a row, each with its caption above."""
    width, height = SHOWN.width * ZOOM, SHOWN.height * ZOOM
    size = (len(panels) * (width + GAP) - GAP, height + CAPTION)
    page = Image.new("RGB", size, "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(16)
    for index, (caption, frame) in enumerate(panels):
        left = index * (width + GAP)
        crop = Image.fromarray(SHOWN.of(frame)).resize((width, height), Image.Resampling.NEAREST)
        page.paste(crop, (left, CAPTION))
        draw.text((left + 2, 3), caption, fill="black", font=font)
    return page


if __name__ == "__main__":
    main()
