"""Draw crops of compressed frames, upscaled in several ways, beside the source.

    python -m vsrc.benchmarks.coded_crops --animevideo WHEEL [--clip CLIP ...]

The first frames of the sample clip and of each CLIP, on which no model was trained or chosen, are
downscaled by 4 (MATLAB's bicubic) and coded by x264 at CRF 28. Shown are the two parts of the
middle frame with most detail, in PSNR-Y of the whole frame. WHEEL: see benchmarks/animevideo.py.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from vsrc.benchmarks.animevideo import AnimeVideo
from vsrc.benchmarks.pictures import (
    CAPTION,
    GAP,
    IMAGES,
    RADIUS,
    SCALE,
    ZOOM,
    Frames,
    Region,
    coded,
    ways,
)
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.sample import SAMPLE_CLIP

CRF = 28
FRAMES = 24
WIDTH, HEIGHT = 144, 108
OF_EACH = 2

Row = list[tuple[str, Frames]]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--animevideo", type=Path, required=True)
    parser.add_argument("--clip", type=Path, action="append", default=[])
    parser.add_argument("-o", "--output", type=Path, default=IMAGES / "models-crops.png")
    options = parser.parse_args()
    with AnimeVideo(options.animevideo, threads=1) as peer:
        rows = [row for clip in (SAMPLE_CLIP, *options.clip) for row in rows_of(clip, peer)]
    stack(rows).save(options.output, optimize=True)
    print(options.output)


def rows_of(clip: Path, peer: AnimeVideo) -> Iterator[Row]:
    """Yield a row of captioned crops for each region shown of a clip."""
    pictures = [frame.rgb for frame in islice(VideoReader(clip), FRAMES)]
    height, width = (side // 8 * 8 for side in pictures[0].shape[:2])
    hr = np.stack(pictures)[:, :height, :width]
    lr = coded(np.stack([downscale(frame, SCALE) for frame in hr]), crf=CRF)
    at = FRAMES // 2
    truth, window = hr[at], lr[at - RADIUS : at + RADIUS + 1]
    anime = peer(window[RADIUS])
    panels = ways(window, truth, ("edge-m", "edge-m-real"))
    panels.append((f"animevideov3, {psnr(anime, truth):.2f} dB", anime))
    panels.append((f"source ({clip.stem})", truth))
    for region in detailed(truth):
        yield [(caption, region.of(frame)) for caption, frame in panels]


def detailed(frame: Frames) -> list[Region]:
    """Find the parts with most detail: by the mean of the Laplacian's magnitude."""
    edges = np.abs(cv2.Laplacian(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.CV_32F))
    places = [
        Region(left, top, WIDTH, HEIGHT)
        for top in range(0, frame.shape[0] - HEIGHT + 1, HEIGHT)
        for left in range(0, frame.shape[1] - WIDTH + 1, WIDTH)
    ]
    return sorted(places, key=lambda place: -float(place.of(edges).mean()))[:OF_EACH]


def stack(rows: Sequence[Row]) -> Image.Image:
    """Draw rows of crops below each other, each crop with its caption above."""
    width, height = WIDTH * ZOOM + GAP, HEIGHT * ZOOM + GAP + CAPTION
    page = Image.new("RGB", (max(map(len, rows)) * width - GAP, len(rows) * height - GAP), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(15)
    for index, row in enumerate(rows):
        for column, (caption, crop) in enumerate(row):
            left, top = column * width, index * height
            size = (WIDTH * ZOOM, HEIGHT * ZOOM)
            page.paste(
                Image.fromarray(crop).resize(size, Image.Resampling.NEAREST), (left, top + CAPTION)
            )
            draw.text((left + 2, top + 4), caption, fill="black", font=font)
    return page


if __name__ == "__main__":
    main()
