"""x264's presets on upscaled video: CPU time and VMAF at the size that `medium` takes.

    pip install imageio-ffmpeg==0.8.1                     # its ffmpeg has libvmaf
    python benchmarks/presets.py VIDEO... [--frames 24] > docs/results/presets.md

Frames of each video are made four times smaller (bicubic), upscaled by the student that ships, and
encoded with the default preset and crf of `vsrc infer`. For every other preset the crf is searched
that gives as many bytes; VMAF compares what is decoded with the frames that were encoded.
"""

from __future__ import annotations

import argparse
import io
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from math import log
from pathlib import Path

import av
import numpy as np

from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.encoders import ENCODERS, encoder_options
from vsrc.runtime.machine import this_machine
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import imresize
from vsrc.runtime.picture.colour import BT709, LIMITED, Colour, FromRgb
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.vmaf import Vmaf
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.windows.upscale import upscale_frames

X264 = ENCODERS["x264"]
SCALE = 4
SAME_SIZE = 0.005
"""Largest difference between two sizes that are called equal, as a share."""

MOST_TRIES = 5
MOST_LOSS = 0.2
"""VMAF that another preset may lose at equal size."""

TICK = Fraction(1, 24)
TAGS = Colour(BT709, BT709, BT709, LIMITED)


@dataclass(frozen=True)
class Encoding:
    """One clip in one preset.

    Attributes:
        crf: Quality that gives the size of the default preset.
        size_bytes: Bytes of the video packets.
        cpu_ms: CPU time of a frame, ms.
        vmaf: Mean over the frames; None where it was not computed.
        data: The packets, in a file.
    """

    crf: float
    size_bytes: int
    cpu_ms: float
    data: bytes
    vmaf: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="+", type=Path)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--presets", default="veryfast,faster,fast,slow")
    options = parser.parse_args()
    rows: list[tuple[str, str, Encoding]] = []
    for video in options.videos:
        pictures = upscaled(video, options.frames)
        usual = encode(pictures, X264.preset, float(X264.default or 0))
        rows.append((video.stem, X264.preset, judged(usual, pictures)))
        for preset in options.presets.split(","):
            found = at_size(pictures, preset, usual)
            rows.append((video.stem, preset, judged(found, pictures)))
    show(rows, options)


def upscaled(video: Path, frames: int) -> list[Pixels8]:
    """Frames of a video, made smaller, and upscaled by the student that ships."""
    found: list[SourceFrame] = []
    with closing(VideoReader(video)) as reader:
        for frame in islice(reader, frames):
            lr = imresize(np.asarray(frame.rgb, np.uint8), numerator=1, denominator=SCALE)
            found.append(SourceFrame(lr, len(found), 1))
    with closing(open_video_session(open_package(shipped()), threads=1)) as session:
        results = upscale_frames(iter(found), session)
        return [np.asarray(one.rgb, np.uint8) for one in results if one.rgb is not None]


def encode(pictures: Sequence[Pixels8], preset: str, crf: float) -> Encoding:
    """Encode RGB pictures as `vsrc infer` does, but for the preset and the quality."""
    height, width = pictures[0].shape[:2]
    to_yuv = FromRgb(TAGS, width=width, height=height, pix_fmt="yuv420p", is_left=True)
    options = encoder_options(X264, crf=None, preset=preset, width=width) | {"crf": f"{crf:.3f}"}
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        stream = container.add_stream(X264.name, rate=24, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.time_base, stream.codec_context.thread_count = TICK, 8
        stream.codec_context.thread_type = av.codec.context.ThreadType.FRAME
        sizes = []
        frames = [to_yuv(rgb) for rgb in pictures]
        began = time.process_time()
        for at, picture in enumerate(frames):
            picture.pts, picture.time_base = at, TICK  # the muxer changes the stream's own
            packets = stream.encode(picture)
            sizes += [packet.size for packet in packets]
            container.mux(packets)
        packets = stream.encode(None)
        took = time.process_time() - began
        sizes += [packet.size for packet in packets]
        container.mux(packets)
    return Encoding(crf, sum(sizes), 1000 * took / len(pictures), file.getvalue())


def at_size(pictures: Sequence[Pixels8], preset: str, usual: Encoding) -> Encoding:
    """Search the crf at which a preset takes as many bytes as the default one (secant rule)."""
    wanted, slope = log(usual.size_bytes), -0.11  # of the logarithm of the size, by crf
    crf, before = usual.crf, None
    for _ in range(MOST_TRIES):
        found = encode(pictures, preset, crf)
        off = log(found.size_bytes) - wanted
        if abs(off) <= SAME_SIZE:
            break
        if before is not None and crf != before[0]:
            slope = (off - before[1]) / (crf - before[0])
        before, crf = (crf, off), crf - off / slope
    return found


def judged(encoding: Encoding, pictures: Sequence[Pixels8]) -> Encoding:
    """Add the VMAF of what is decoded."""
    vmaf = Vmaf(0)
    with av.open(io.BytesIO(encoding.data), "r") as container:
        for decoded, truth in zip(container.decode(video=0), pictures, strict=True):
            decoded.colorspace = BT709
            vmaf.add(np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8), truth)
    return Encoding(
        encoding.crf, encoding.size_bytes, encoding.cpu_ms, encoding.data, vmaf.result()["vmaf"]
    )


def show(rows: list[tuple[str, str, Encoding]], options: argparse.Namespace) -> None:
    usual = {clip: each for clip, preset, each in rows if preset == X264.preset}
    print("# Presets of x264 at equal size\n")
    print(f"Written by `benchmarks/presets.py`: {options.frames} frames of each clip, made 4 times")
    print(f"smaller and upscaled, {X264.preset} at crf {X264.default}, and the crf at which")
    print(f"another preset takes as many bytes. VMAF v0.6.1. {this_machine().cpu}, busy with other")
    print("work: CPU time.\n")
    print("| clip | preset | crf | bytes | CPU, ms | CPU / medium | VMAF | to medium |")
    print("|---|---|---:|---:|---:|---:|---:|---:|")
    losses: dict[str, list[tuple[float, float]]] = {}
    for clip, preset, each in rows:
        base = usual[clip]
        assert each.vmaf is not None
        assert base.vmaf is not None
        ratio, loss = each.cpu_ms / base.cpu_ms, each.vmaf - base.vmaf
        losses.setdefault(preset, []).append((ratio, loss))
        print(
            f"| {clip} | {preset} | {each.crf:.2f} | {each.size_bytes} | {each.cpu_ms:.1f} "
            f"| {ratio:.2f} | {each.vmaf:.2f} | {loss:+.2f} |"
        )
    print("\n| preset | CPU / medium, median | largest loss of VMAF | within the limit |")
    print("|---|---:|---:|---|")
    for preset, pairs in losses.items():
        worst = min(loss for _, loss in pairs)
        ratio = statistics.median(ratio for ratio, _ in pairs)
        kept = "yes" if worst >= -MOST_LOSS else "no"
        print(f"| {preset} | {ratio:.2f} | {worst:+.2f} | {kept} |")
    print(f"\nA faster preset replaces {X264.preset} if it loses at most {MOST_LOSS} on each clip.")


if __name__ == "__main__":
    main()
