"""Memory of `vsrc infer` over very many small frames.

    python benchmarks/flat_memory.py [--frames 100000] [--size 32x32] > docs/results/flat-memory.md

A clip is made by ffmpeg, upscaled by a fresh process, and the resident memory of that process is
read whenever another tenth of the frames is done.
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
    options = parser.parse_args()
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
    print(
        f"\nFrom a fifth of the frames to the last: {growth:+.1%} (between {min(late) / 1000:.1f}"
    )
    print(f"and {max(late) / 1000:.1f} MB).")


if __name__ == "__main__":
    main()
