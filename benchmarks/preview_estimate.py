"""How close the time that `vsrc preview` announces is to that of the whole run, in wall time.

    python benchmarks/preview_estimate.py [--rounds 3] [--clip VIDEO] >> docs/results/preview.md

The clip is 60 seconds long: the sample clip in a loop, unless another is given. A round estimates
each candidate from the excerpt that `vsrc preview` takes by itself, 3 seconds from the middle, and
then upscales the whole clip with it; the next round does this in the opposite order. So both meet
the same work of others on the machine, as far as it lasts longer than a round. Both times are wall
time of this process, from the open clip to the finished video.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from vsrc.benchmarks.runtime import write_lr_clip
from vsrc.runtime.candidates.preview_config import PreviewConfig
from vsrc.runtime.candidates.previewing import preview
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.machine import this_machine
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.shipped_models import shipped

SECONDS, FPS = 60, 24


def main() -> None:
    options = _options()
    print("# Estimates of vsrc preview\n")
    print(f"Written by `benchmarks/preview_estimate.py`, on {this_machine()}.\n")
    print("| model | round | load average | estimate, s | whole run, s | estimate / run |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        clip = options.clip or Path(folder) / "clip.mp4"
        if options.clip is None:
            write_lr_clip(SAMPLE_CLIP, clip, options.size, SECONDS * FPS)
        ratios: dict[str, list[float]] = {name: [] for name in options.models}
        for number in range(1, options.rounds + 1):
            for name in options.models:
                ratio = _measure(clip, name, Path(folder), number=number)
                ratios[name].append(ratio)
    print()
    for name, of_one in ratios.items():
        print(f"{name}: median {statistics.median(of_one):.2f} of {len(of_one)} rounds.")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clip", type=Path, help="default: the sample clip in a loop")
    parser.add_argument("--size", default="54x96", metavar="HxW", help="of the default clip")
    parser.add_argument("--models", nargs="+", default=["edge-s", "edge-m"])
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _measure(clip: Path, name: str, folder: Path, *, number: int) -> float:
    """Estimate and run once, print a row, and return estimate / run."""
    load = os.getloadavg()[0]
    if number % 2:
        estimate = _estimate(clip, name, folder)
        run = _run(clip, name, folder)
    else:
        run = _run(clip, name, folder)
        estimate = _estimate(clip, name, folder)
    ratio = estimate / run
    row = f"| {name} | {number} | {load:.1f} | {estimate:.1f} | {run:.1f} | {ratio:.2f} |"
    print(row, flush=True)
    return ratio


def _estimate(clip: Path, name: str, folder: Path) -> float:
    page = folder / "preview.html"
    result = preview(PreviewConfig(clip, (shipped(name),), (name,), page, overwrite=True))
    (seconds,) = (each.whole_seconds for each in result.candidates if each.label == name)
    assert seconds is not None
    return seconds


def _run(clip: Path, name: str, folder: Path) -> float:
    config = InferConfig(
        (str(clip),), output=folder / "whole.mp4", model=shipped(name), overwrite=True
    )
    started = time.perf_counter()
    infer(config)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
