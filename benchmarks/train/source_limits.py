r"""Find below which bits per pixel the student for compressed video is the better one.

    python benchmarks/train/source_limits.py CLIPS CLEAN.vsrc COMPRESSED.vsrc \
        -o docs/results/source-limits.csv

CLIPS is a folder of videos that nothing is trained on (as for judge.py). Their LR frames are coded
by each encoder at several qualities with its usual presets, B-frames and look-ahead included.
Printed are, of each coded clip, bits per pixel and the PSNR of Y of both students and of Lanczos,
and at the end, for each codec, the limit that loses least PSNR over all its clips when it decides
between the two.
"""

from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np

from vsrc.benchmarks.train.judge import BORDER, Restored, lanczos, lr_of, read_candidate, truth_of
from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.runtime.decode.compression import measure_bits_per_pixel
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.picture.colour import BT709, LIMITED, Colour, FromRgb, ToRgb
from vsrc.runtime.picture.fast_resize import Planes
from vsrc.runtime.picture.likeness import psnr

SCALE = 4

ENCODERS = {
    "libx264": ("crf", (12, 16, 20, 23, 26, 30, 34), {"preset": "medium"}),
    "libx265": (
        "crf",
        (12, 16, 20, 24, 28, 32, 36),
        {"preset": "fast", "x265-params": "log-level=none"},
    ),
    "libvpx-vp9": ("crf", (10, 18, 26, 34, 42, 50), {"deadline": "good", "cpu-used": "4"}),
    "libsvtav1": ("crf", (12, 20, 28, 36, 44, 52), {"preset": "8"}),
    "mpeg2video": ("q", (1, 2, 3, 5, 8, 12), {"bf": "2"}),
    "mpeg4": ("q", (1, 2, 3, 5, 8, 12), {"bf": "1"}),
}
"""Encoder -> how its quality is given (CRF or quantiser), qualities, other options."""

COLOUR = Colour(matrix=BT709, range=LIMITED)


@dataclass(frozen=True)
class CodedClip:
    """One coded clip, and what each way of upscaling makes of it, dB."""

    clip: str
    codec: str
    quality: int
    bits_per_pixel: float
    lanczos: float
    clean: float
    compressed: float


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("clean", type=Path)
    parser.add_argument("compressed", type=Path)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--every", type=int, default=6, help="every so many frames are measured")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    ways: dict[str, Callable[[Planes, int], Planes]] = {
        "lanczos": lanczos(SCALE),
        "clean": Restored(ClipNetwork(read_candidate(options.clean, "", scale=SCALE).eval())),
        "compressed": Restored(
            ClipNetwork(read_candidate(options.compressed, "", scale=SCALE).eval())
        ),
    }
    rows = []
    for path in sorted(options.clips.iterdir()):
        truth = truth_of(path, options.frames)
        for row in iter_coded(path.stem, truth, ways, range(3, len(truth), options.every)):
            print(" ".join(str(v) for v in asdict(row).values()), flush=True)
            rows.append(row)
    for codec in sorted({row.codec for row in rows}):
        print(codec, *find_limit([row for row in rows if row.codec == codec]))
    if options.output:
        with options.output.open("w", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(CodedClip)])
            writer.writeheader()
            writer.writerows(map(asdict, rows))


def iter_coded(
    name: str, truth: Planes, ways: dict[str, Callable[[Planes, int], Planes]], measured: range
) -> Iterator[CodedClip]:
    """Code the LR clip in every way, and measure each result."""
    clean = lr_of(truth, None, scale=SCALE)
    for encoder, (unit, qualities, options) in ENCODERS.items():
        for quality in qualities:
            lr, codec, size = coded(clean, encoder, unit, quality, options)
            scores = {
                way: float(
                    np.mean(
                        [
                            psnr(upscale(lr, at), truth[at].transpose(1, 2, 0), border=BORDER)
                            for at in measured
                        ]
                    )
                )
                for way, upscale in ways.items()
            }
            rounded = {way: round(value, 3) for way, value in scores.items()}
            yield CodedClip(name, codec, quality, round(size, 4), **rounded)


def coded(
    frames: Planes, encoder: str, unit: str, quality: int, options: dict[str, str]
) -> tuple[Planes, str, float]:
    """Code frames into a file, and return what is decoded, the codec, and bits per pixel."""
    height, width = (size // 2 * 2 for size in frames.shape[2:])
    to_frame = FromRgb(COLOUR, width=width, height=height, pix_fmt="yuv420p")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coded.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(encoder, rate=25)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            rates = (
                {"crf": str(quality)}
                if unit == "crf"
                else {"qmin": str(quality), "qmax": str(quality)}
            )
            stream.codec_context.bit_rate = 0
            stream.options = {**options, **rates}
            for number, picture in enumerate(frames.transpose(0, 2, 3, 1)):
                frame = to_frame(np.ascontiguousarray(picture[:height, :width]))
                frame.pts, frame.time_base = number, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        with closing(VideoReader(path)) as reader:
            size = measure_bits_per_pixel(path, reader.info)
            assert size is not None
            back = ToRgb(COLOUR, width=width, height=height)
            with av.open(str(path)) as container:
                pictures = [back(frame) for frame in container.decode(video=0)]
            codec = reader.info.codec
    result = frames.copy()  # an odd last row or column stays as it was
    result[:, :, :height, :width] = np.stack(pictures).transpose(0, 3, 1, 2)
    return result, codec, size


def find_limit(rows: list[CodedClip]) -> tuple[float, float]:
    """Return the limit, bits per pixel, and the PSNR that it loses to the better student, dB."""
    sizes = sorted(row.bits_per_pixel for row in rows)
    middles = [(a * b) ** 0.5 for a, b in pairwise(sizes)]
    best = [max(row.clean, row.compressed) for row in rows]

    def loss(limit: float) -> float:
        chosen = [r.compressed if r.bits_per_pixel < limit else r.clean for r in rows]
        return float(np.mean(np.subtract(best, chosen)))

    return min(
        ((round(at, 4), round(loss(at), 4)) for at in (0.0, *middles, np.inf)),
        key=lambda pair: pair[1],
    )


if __name__ == "__main__":
    main()
