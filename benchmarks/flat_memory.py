"""Memory of `vsrc infer` over very many small frames.

    python benchmarks/flat_memory.py [--frames 100000] [--size 32x32] > docs/results/flat-memory.md

A clip is made by ffmpeg, upscaled by a fresh process, and the resident memory of that process is
read whenever another twentieth of the frames is done. MP4 has its index at the end, so its muxer
remembers each packet: what that takes is measured by muxing one packet over and over, and beside it
the same in Matroska, whose index holds key frames only. `--index-only` measures that alone.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

from vsrc.benchmarks.runtime import CORES, _ffmpeg
from vsrc.runtime.machine import this_machine
from vsrc.runtime.processes.child_process import prepare_child

INDEX = """
import sys
from fractions import Fraction
import av

with av.open(sys.argv[1], "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
    frame = av.VideoFrame(32, 32, "yuv420p")
    frame.pts, frame.time_base = 0, Fraction(1, 25)
    data = bytes([*stream.encode(frame), *stream.encode(None)][0])
    container.start_encoding()
    for at in range(60_001):
        packet = av.Packet(data)
        packet.pts = packet.dts = at
        packet.time_base, packet.duration, packet.stream = Fraction(1, 25), 1, stream
        packet.is_keyframe = at % 120 == 0
        container.mux(packet)
        if at in (10_000, 60_000):
            print(int(open("/proc/self/statm").read().split()[1]) * 4096)
"""
"""Mux a packet 60,000 times; prints the resident bytes after 10,000 and at the end."""

PROGRESS = """
import sys
from pathlib import Path
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.memory import give_frames_back
from vsrc.runtime.shipped_models import shipped

give_frames_back()  # as the command does
clip, output, model, frames = sys.argv[1:5]
step, last = int(frames) // 20, 0

def progress(now):
    global last
    if now.done >= last + step:
        last = now.done
        status = Path("/proc/self/status").read_text()
        rss = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        print(now.done, rss, flush=True)

infer(InferConfig((clip,), Path(output), model=shipped(model), overwrite=True), progress=progress)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=100_000)
    parser.add_argument("--size", default="32x32", help="WxH of the LR frames")
    parser.add_argument("--model", default="edge-s")
    parser.add_argument("--index-only", action="store_true")
    options = parser.parse_args()
    if options.index_only:
        print(index_line())
        return
    with tempfile.TemporaryDirectory(prefix="vsrc-flat-") as name:
        clip = Path(name) / "clip.mp4"
        _ffmpeg(
            *("-f", "lavfi", "-i", f"testsrc2=size={options.size}:rate=25"),
            *("-frames:v", str(options.frames), "-c:v", "libx264", "-preset", "ultrafast", clip),
        )
        output = Path(name) / "sr.mp4"
        child = prepare_child(PROGRESS, str(clip), str(output), options.model, str(options.frames))
        began = time.perf_counter()
        done = subprocess.run(
            child.command, env=child.environment, stdout=subprocess.PIPE, text=True, check=True
        )
        seconds = time.perf_counter() - began
        show(done.stdout, options, output.stat().st_size, seconds)


def index_line() -> str:
    """What the muxers of MP4 and Matroska keep of each packet, as a sentence."""
    found = []
    with tempfile.TemporaryDirectory(prefix="vsrc-index-") as name:
        for file in ("index.mp4", "index.mkv"):
            child = prepare_child(INDEX, str(Path(name) / file))
            done = subprocess.run(
                child.command, env=child.environment, stdout=subprocess.PIPE, text=True, check=True
            )
            begin, end = map(int, done.stdout.split())
            found.append((end - begin) / 50_000)
    return (
        f"The muxer of MP4 alone keeps {found[0]:.1f} bytes of each packet for its index, that of "
        f"Matroska {found[1]:.1f}."
    )


def show(text: str, options: argparse.Namespace, size_bytes: int, seconds: float) -> None:
    rows = [tuple(map(int, line.split())) for line in text.splitlines()]
    machine = this_machine()
    print("# Memory over many frames\n")
    print(f"Written by `benchmarks/flat_memory.py`: {options.model} x4, {rows[-1][0]} frames of")
    print(f"{options.size} to x264, {size_bytes / 1e6:.1f} MB, in {seconds:.0f} s. {machine.cpu},")
    print(f"{CORES} cores, busy with other work.\n")
    print("| frames done | resident, MB |\n|---:|---:|")
    for done, kilobytes in rows:
        print(f"| {done} | {kilobytes / 1000:.1f} |")
    late = [kilobytes for done, kilobytes in rows if done >= options.frames // 5]
    growth = late[-1] / late[0] - 1
    each = 1024 * (late[-1] - late[0]) / (rows[-1][0] * 4 / 5)
    print(f"\nFrom a fifth of the frames to the last: {growth:+.1%}, {each:.0f} bytes a frame")
    print(f"(between {min(late) / 1000:.1f} and {max(late) / 1000:.1f} MB). {index_line()}")


if __name__ == "__main__":
    main()
