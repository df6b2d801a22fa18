"""Peak memory of `vsrc infer` and of windows, beside what the choice of tiles expects.

    python benchmarks/tile_memory.py [--runs 160x90,...] [--windows 640x360,...] [--model edge-s]
        > docs/results/tile-memory.md

Each size is one fresh process, one after the other. A run upscales the sample clip, scaled to
that size, to x264, and is long enough to fill the encoder; a window is upscaled alone, for frames
whose run would take hours. The peak is what the process grows by from the moment at which the tile
is chosen.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from fractions import Fraction
from itertools import islice
from pathlib import Path

from vsrc.runtime.machine import this_machine
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.shipped_models import shipped

COMMON = """
import json, sys
from pathlib import Path
from vsrc.runtime.memory import _status_bytes, give_frames_back, peak_growth
from vsrc.runtime.windows import tile_size

give_frames_back()  # as the command does
measure, seen = tile_size._measure, {}

def noted(session, *, height, width, **options):
    seen["before"] = _status_bytes("VmRSS")
    memory = measure(session, height=height, width=width, **options)
    held = memory.held(tile_size.QUEUE_DEPTHS[0])
    lanes = getattr(session, "most_lanes", 0) or 1
    seen["network"] = lanes * memory.of_pixel * height * width + memory.kept
    seen["rest"] = held
    return memory

tile_size._measure, tile_size._SURE_PIXELS = noted, 0
"""

RUN = f"""{COMMON}
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

clip, model, output = sys.argv[1:4]
infer(InferConfig((clip,), Path(output), model=Path(model), backend="ort", tile=0))
print(json.dumps(seen | {{"peak": _status_bytes("VmHWM")}}))
"""

WINDOW = f"""{COMMON}
import numpy as np
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.package import open_package

model, width, height = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
session = open_video_session(open_package(model), backend="ort", threads=1)
noted(session, height=height, width=width, batch=1, encoder=0)
lr = np.random.default_rng(0).integers(
    0, 256, (1, session.network.window, height, width, 3), dtype=np.uint8
)
seen["rest"] = 0
seen["peak"] = seen["before"] + peak_growth(lambda: session(lr))
print(json.dumps(seen))
"""


def main() -> None:
    """Measure all sizes, print the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default="160x90,240x136,320x180,400x224,480x270,640x360")
    parser.add_argument("--windows", default="320x180,640x360,960x540,1280x720,1600x900,1920x1080")
    parser.add_argument("--frames", type=int, default=75)
    parser.add_argument("--model", default="edge-s")
    options = parser.parse_args()
    options.model_path = str(shipped(options.model))
    machine = this_machine()
    print("# Memory that tiles are chosen by\n")
    print(f"Written by `benchmarks/tile_memory.py`: {options.model} on ONNX Runtime.")
    print(f"{machine.cpu}, busy with other work, which changes no memory. MB are 10^6 bytes; the")
    print("peak is above what the process has when the tile is chosen.\n")
    print(f"Whole runs of {options.frames} frames to x264, preset medium:\n")
    heading("expected of the network | of the encoder and queues")
    for size in filter(None, options.runs.split(",")):
        row(size, measure_run(size, options))
    print("\nOne window, without an encoder:\n")
    heading("expected of the network | of the rest")
    for size in filter(None, options.windows.split(",")):
        row(size, measured(WINDOW, options.model_path, *size.split("x")))


def heading(parts: str) -> None:
    """The first lines of a table."""
    print(f"| LR frame | {parts} | expected, MB | peak, MB | peak / expected |")
    print("|---|---:|---:|---:|---:|---:|", flush=True)


def row(size: str, seen: dict[str, float]) -> None:
    """One line of a table."""
    expected, peak = seen["network"] + seen["rest"], seen["peak"] - seen["before"]
    values = (seen["network"], seen["rest"], expected, peak)
    cells = " | ".join(f"{value / 1e6:.0f}" for value in values)
    print(f"| {size} | {cells} | {peak / expected:.2f} |", flush=True)


def measure_run(size: str, options: argparse.Namespace) -> dict[str, float]:
    """One run in a process of its own."""
    width, height = map(int, size.split("x"))
    with tempfile.TemporaryDirectory(prefix="vsrc-memory-") as folder:
        clip = Path(folder) / "clip.mp4"
        write_sample(clip, frames=options.frames, width=width, height=height)
        return measured(RUN, str(clip), options.model_path, f"{folder}/out.mp4")


def write_sample(path: Path, *, frames: int, width: int, height: int) -> None:
    """Write the sample clip in another size, again and again."""
    import av

    rate, number = Fraction(25), 0
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        while number < frames:
            with av.open(str(SAMPLE_CLIP)) as source:
                for frame in islice(source.decode(video=0), frames - number):
                    scaled = frame.reformat(width=width, height=height, threads=1)
                    scaled.pts, scaled.time_base = number, 1 / rate
                    number += 1
                    container.mux(stream.encode(scaled))
        container.mux(stream.encode(None))


def measured(code: str, *arguments: str) -> dict[str, float]:
    """What a process says at its end."""
    child = prepare_child(code, *arguments)
    done = subprocess.run(
        child.command, env=child.environment, stdout=subprocess.PIPE, text=True, check=True
    )
    values: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return values


if __name__ == "__main__":
    main()
