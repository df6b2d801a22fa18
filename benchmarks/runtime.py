"""How much `vsrc infer` adds to what cannot be avoided: ratios, measured in one run.

    python benchmarks/runtime.py [--model student.vsrc] [--size 180x320] [--frames 120]

What cannot be avoided, for the same frames and settings, is the time the network takes for the
same windows with nothing else running, and the CPU time of ffmpeg decoding and encoding, which
spreads over the cores:

    ratio = wall of infer / (wall of the network + CPU of (decode + encode) / cores)

The network is measured twice: window after window in `package.session()`, and several at once as
`infer` runs it (runtime/backends/parallel_windows.py). All parts are measured in turn, several
times, because machines drift; the same in CPU time is printed beside it, because a busy machine
distorts the first.
Besides: how long a fresh process takes until its first frame is with the encoder, and how memory
grows with the clip.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode.encoders import ENCODERS
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.package import open_package
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.upscale import upscale_frames

CORES = len(os.sched_getaffinity(0))
LONGER = 10

_PEAK = "VmHWM:"

_MEASURED_INFER = """
import atexit, pathlib
status = pathlib.Path("/proc/self/status")
atexit.register(lambda: print(*(x for x in status.read_text().splitlines() if "VmHWM" in x)))
from vsrc.cli import main
main()
"""
"""Its own peak: what the system counts of a child begins with the peak of its parent."""


@dataclass(frozen=True)
class Cost:
    """Wall and CPU time of one part, seconds."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Round:
    """Each part once."""

    network: Cost
    lanes: Cost
    decode: Cost
    encode: Cost
    whole: Cost

    @property
    def ratio(self) -> float:
        """Wall of the whole to what cannot be avoided, window after window."""
        return self.whole.wall / (self.network.wall + self._codecs.cpu / CORES)

    @property
    def lanes_ratio(self) -> float:
        """The same, with windows side by side."""
        return self.whole.wall / (self.lanes.wall + self._codecs.cpu / CORES)

    @property
    def cpu_ratio(self) -> float:
        """The latter in CPU time."""
        return self.whole.cpu / (self.lanes.cpu + self._codecs.cpu)

    @property
    def _codecs(self) -> Cost:
        decode, encode = self.decode, self.encode
        return Cost(decode.wall + encode.wall, decode.cpu + encode.cpu)


class TimedSession:
    """A session that adds up what its calls take."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.label, self.network, self.graph = session.label, session.network, session.graph
        self.wall = self.cpu = 0.0

    def __call__(self, lr: NDArray[np.uint8], /) -> NDArray[np.uint8]:
        """As the session does."""
        started = time.perf_counter(), _own_cpu()
        sr = self._session(lr)
        self.wall += time.perf_counter() - started[0]
        self.cpu += _own_cpu() - started[1]
        return sr

    def close(self) -> None:
        """As the session does."""
        self._session.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", type=Path, default=shipped("edge-m"))
    parser.add_argument("--clip", type=Path, default=SAMPLE_CLIP)
    parser.add_argument("--size", default="180x320", help="HxW of the LR frames")
    parser.add_argument("--frames", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--no-memory", action="store_true", help="leave out the longer clip")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vsrc-runtime-") as name:
        folder = Path(name)
        clip = folder / "lr.mp4"
        write_lr_clip(options.clip, clip, options.size, options.frames)
        print(f"{options.model.name}, {options.size}, {options.frames} frames, {CORES} cores")
        network = (options.precision, options.threads)
        print_speed(options.model, clip, folder, options.rounds, network)
        print_start(options.model, clip, folder)
        if not options.no_memory:
            print_memory(options.model, clip, folder)


def print_speed(
    model: Path, clip: Path, folder: Path, rounds: int, network: tuple[str, int]
) -> None:
    """Args: `network` is the graph, and the number of threads."""
    precision, threads = network
    package = open_package(model)
    session = package.session(precision=precision, threads=threads)
    lanes = open_video_session(package, backend="ort", precision=precision, threads=threads)
    frames = list(VideoReader(clip))
    raw = folder / "sr.rgb"
    height, width = session(frames[0].rgb[None].repeat(session.network.window, 0)[None]).shape[1:3]
    done = []
    for _ in range(rounds):
        done.append(
            Round(
                network=run_network(session, frames, raw),
                lanes=run_lanes(lanes, frames),
                decode=_ffmpeg("-i", clip, "-map", "v", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"),
                encode=encode(raw, f"{width}x{height}", folder / "ffmpeg.mp4"),
                whole=run_infer(model, clip, folder / "vsrc.mp4", network),
            )
        )
        last = done[-1]
        print(
            f"  wall: network {last.network.wall:.2f} s, side by side {last.lanes.wall:.2f} s, "
            f"infer {last.whole.wall:.2f} s;  CPU: network {last.network.cpu:.2f} s, side by side "
            f"{last.lanes.cpu:.2f} s, decode {last.decode.cpu:.2f} s, "
            f"encode {last.encode.cpu:.2f} s, infer {last.whole.cpu:.2f} s;  ratio "
            f"{last.ratio:.3f}, side by side {last.lanes_ratio:.3f}, in CPU time "
            f"{last.cpu_ratio:.3f}"
        )
    for name in ("ratio", "lanes_ratio", "cpu_ratio"):
        ratios = sorted(getattr(one, name) for one in done)
        print(f"{name}: {statistics.median(ratios):.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    print(f"{len(frames) / statistics.median(one.whole.wall for one in done):.1f} frames/s")
    session.close()
    lanes.close()


def run_network(session: Session, frames: list[SourceFrame], raw: Path) -> Cost:
    """The network alone on all windows; what it gives is kept for the encoder."""
    timed = TimedSession(session)
    with raw.open("wb") as file:
        for result in upscale_frames(frames, timed):
            if result.rgb is not None:
                file.write(result.rgb.tobytes())
    return Cost(timed.wall, timed.cpu)


def encode(raw: Path, size: str, output: Path) -> Cost:
    """The restored frames through ffmpeg's x264, as infer encodes them."""
    x264 = ENCODERS["x264"]
    return _ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", "24", "-i", raw),
        *("-c:v", x264.name, "-crf", str(x264.default), "-preset", x264.preset),
        *("-pix_fmt", "yuv420p", output),
    )


def run_lanes(session: Session, frames: list[SourceFrame]) -> Cost:
    """The network alone, several windows at once."""
    started = time.perf_counter(), _own_cpu()
    for _ in upscale_frames(frames, session):
        pass
    return Cost(time.perf_counter() - started[0], _own_cpu() - started[1])


def run_infer(model: Path, clip: Path, output: Path, network: tuple[str, int]) -> Cost:
    """Everything, from opening the package to the finished file."""
    precision, threads = network
    started = time.perf_counter(), _own_cpu()
    config = InferConfig(
        (clip,), output, model=model, precision=precision, overwrite=True, threads=threads
    )
    infer(config)
    return Cost(time.perf_counter() - started[0], _own_cpu() - started[1])


def print_start(model: Path, clip: Path, folder: Path) -> None:
    """Time from the start of a process until its first frame is with the encoder."""
    started = time.perf_counter()
    file = _command(model, clip, folder / "start.mp4")[0]["files"][0]
    whole = time.perf_counter() - started
    # What the process does after the first frame is in `seconds`; the little after its end counts.
    first = whole - (file["seconds"] - file["first_frame_seconds"])
    print(f"first frame with the encoder: {first:.2f} s after the start of the process")


def print_memory(model: Path, clip: Path, folder: Path) -> None:
    longer = folder / "longer.mp4"
    _ffmpeg("-stream_loop", str(LONGER - 1), "-i", clip, "-c", "copy", longer)
    peaks = [_command(model, path, folder / "memory.mp4")[1] for path in (clip, longer)]
    print(
        f"peak RSS: {peaks[0] / 1e6:.0f} MB, for a clip {LONGER} times as long "
        f"{peaks[1] / 1e6:.0f} MB: {peaks[1] / peaks[0] - 1:+.1%}"
    )


def _command(
    model: Path, clip: Path, output: Path
) -> tuple[dict[str, list[dict[str, float]]], int]:
    """What `vsrc infer --json` prints, and the peak RSS of its process, bytes."""
    arguments = ["infer", str(clip), "-m", str(model), "-o", str(output), "--overwrite", "--json"]
    child = prepare_child(_MEASURED_INFER, *arguments)
    done = subprocess.run(
        child.command, env=child.environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"vsrc infer failed with status {done.returncode}")
    result, _, peak = done.stdout.rpartition(_PEAK)
    return json.loads(result), int(peak.split()[0]) << 10


def write_lr_clip(source: Path, target: Path, size: str, frames: int) -> None:
    """A clip of `frames` frames of HxW, with sound, made from another over and over."""
    height, width = size.split("x")
    _ffmpeg(
        *("-stream_loop", "-1", "-i", source, "-vf", f"scale={width}:{height}:flags=bicubic"),
        *("-frames:v", str(frames), "-c:v", "libx264", "-crf", "16", "-c:a", "copy"),
        *("-shortest", target),
    )


def _ffmpeg(*arguments: str | Path) -> Cost:
    program = shutil.which("ffmpeg")
    if program is None:
        raise SystemExit("ffmpeg is not installed; apt-get install ffmpeg")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    command = [program, "-v", "error", "-y", *map(str, arguments)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return Cost(wall, user + system)


def _own_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
