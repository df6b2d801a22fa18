"""CPU time of the stages of `vsrc infer`, each alone, beside that of the whole.

    python benchmarks/stages.py [--model edge-m] [--precision int8-cpu] [--sizes 180x320,...]

For each size of LR frames: decoding, YUV to RGB and back, the network, and x264 at its default,
each over all frames by itself, then `infer` from file to file on the same open session; user and
system time of the process. The sizes take turns, and the least of the rounds counts.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import av
import numpy as np

from vsrc.benchmarks.colour import makers
from vsrc.benchmarks.runtime import CORES, write_lr_clip
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.encode.encoders import encoder_options, find_encoder
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.machine import this_machine
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.upscale import upscale_frames

T = TypeVar("T")
STAGES = ("decode", "colour", "network", "encode")
MOST_COLOUR = 0.05
MOST_RATIO = 1.05


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="edge-m")
    parser.add_argument("--precision", default="int8-cpu")
    parser.add_argument("--sizes", default="180x320,360x640,540x960", help="HxW of the LR frames")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    sizes = options.sizes.split(",")
    with tempfile.TemporaryDirectory(prefix="vsrc-stages-") as name:
        clips = {size: Path(name) / f"{size}.mp4" for size in sizes}
        for size, clip in clips.items():
            write_lr_clip(SAMPLE_CLIP, clip, size, options.frames)
        rounds: dict[str, list[dict[str, float]]] = {size: [] for size in sizes}
        for _ in range(options.rounds):
            for size, clip in clips.items():
                rounds[size].append(measure(clip, options))
    show({size: least(each) for size, each in rounds.items()}, options)


def least(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: min(each[name] for each in rounds) for name in rounds[0]}


def measure(clip: Path, options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of each stage alone and of the whole, and the bytes of the result."""
    took: dict[str, float] = {}
    frames = timed(took, "decode", lambda: decode(clip))
    to_rgb, _ = makers(frames[0].width, frames[0].height, "yuv420p")
    lr = timed(took, "colour", lambda: [to_rgb(frame) for frame in frames])
    package = open_package(shipped(options.model))
    source = [SourceFrame(np.asarray(rgb), at, 1) for at, rgb in enumerate(lr)]
    output = clip.with_suffix(".sr.mp4")
    config = InferConfig((clip,), output, overwrite=True, audio="drop")
    with closing(open_video_session(package, precision=options.precision)) as session:
        session(np.asarray(lr[0])[None, None].repeat(session.network.window, 1))
        sr = timed(took, "network", lambda: network(session, source))
        timed(took, "infer", lambda: infer(config, session=session))
    height, width = sr[0].shape[:2]
    _, to_yuv = makers(width, height, "yuv420p")
    pictures = timed(took, "colour", lambda: [to_yuv(rgb) for rgb in sr])
    timed(took, "encode", lambda: encode(pictures))
    return {**took, "bytes": output.stat().st_size}


def network(session: Session, frames: list[SourceFrame]) -> list[Pixels]:
    results = upscale_frames(iter(frames), session)
    return [result.rgb for result in results if result.rgb is not None]


def timed(took: dict[str, float], stage: str, work: Callable[[], T]) -> T:
    began = time.process_time()
    result = work()
    took[stage] = took.get(stage, 0.0) + time.process_time() - began
    return result


def decode(clip: Path) -> list[av.VideoFrame]:
    with av.open(str(clip)) as container:
        container.streams.video[0].thread_type = "AUTO"
        return list(container.decode(video=0))


def encode(pictures: list[Any]) -> None:
    """Encode frames with the options of `vsrc infer`."""
    encoder, _ = find_encoder("x264")
    context = av.CodecContext.create(encoder.name, "w")
    assert isinstance(context, av.VideoCodecContext)
    context.width, context.height, context.pix_fmt = (
        pictures[0].width,
        pictures[0].height,
        "yuv420p",
    )
    context.framerate, context.time_base = Fraction(24), Fraction(1, 24)
    context.thread_count = 8  # as infer sets it
    context.options = encoder_options(encoder, crf=None, preset=None, width=context.width)
    for at, picture in enumerate(pictures):
        picture.pts = at
        context.encode(picture)
    context.encode(None)


def show(measured: dict[str, dict[str, float]], options: argparse.Namespace) -> None:
    count, machine = options.frames, this_machine()
    print("# Where the time of a job goes\n")
    print(
        f"Written by `benchmarks/stages.py`: {options.model} x4 {options.precision}, {count} frames"
    )
    print(f"of the sample clip, x264 crf 18 medium. {machine.cpu}, {CORES} cores, busy with other")
    print(f"work: CPU time, least of {options.rounds} rounds.\n")
    heads = " | ".join(f"{stage}, ms" for stage in STAGES)
    print(f"| LR frames | {heads} | share of colour | infer, ms | / stages | bytes of the clip |")
    print("|---|" + "---:|" * (len(STAGES) + 4))
    for size, took in measured.items():
        whole = sum(took[stage] for stage in STAGES)
        cells = " | ".join(
            f"{took[stage] / count * 1000:.1f} ({took[stage] / whole:.0%})" for stage in STAGES
        )
        each = took["infer"] / count * 1000
        print(
            f"| {size} | {cells} | {took['colour'] / whole:.1%} | {each:.1f} "
            f"| {took['infer'] / whole:.3f} | {took['bytes']:.0f} |"
        )
    print(f"\nWanted: colour at most {MOST_COLOUR:.0%}, infer at most {MOST_RATIO} of its stages.")


if __name__ == "__main__":
    main()
