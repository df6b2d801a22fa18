r"""What each objective adds to a student: same clips, same steps, several seeds.

    python benchmarks/distillation.py --data CLIPS --eval OTHER_CLIPS [--eval ...] \
        [--teacher edvr-xs] [--student edge-s] [--steps 600] [--seeds 0,1,2] \
        [--run none --run std --run "std lambda_space=0.003 lambda_time=0.003"] [-o docs/table.md] \
        [--set "student_arguments={blocks: 4}"]

Every student of a seed starts from the same weights and sees the same crops in the same order; only
the loss differs, so the column of differences is taken seed by seed. Clips of --eval are never
trained from. PSNR is that of Y in 8 bits, without a border of `scale` pixels, mean over all frames.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from vsrc.compressor.data import open_library, validation_clips
from vsrc.compressor.data.dataset import ClipBatch
from vsrc.compressor.distill import distill
from vsrc.compressor.networks.loading.find_network import find_teacher
from vsrc.compressor.networks.loading.packaged import from_package
from vsrc.compressor.recipe import read_recipe
from vsrc.compressor.training.validation import psnr_on
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import Argument

MAX_HEIGHT = 540
"""Frames are reduced to so many rows, where most footage is sharp."""


@dataclass(frozen=True)
class Trial:
    """One student: PSNR, dB, and the training time, seconds."""

    psnr: float
    seconds: float


def main() -> None:
    options = _options()
    eval_clips = _eval_clips(options)
    teacher = find_teacher(options.teacher, scale=4, weights=options.teacher_weights, arguments={})
    print(f"teacher {options.teacher}: {psnr_on(teacher.network, eval_clips):.3f} dB", flush=True)
    results: dict[str, list[Trial]] = {run: [] for run in options.run}
    for seed in map(int, options.seeds.split(",")):
        for run in options.run:
            trial = _trial(options, run, seed=seed, eval_clips=eval_clips)
            results[run].append(trial)
            print(f"seed {seed}  {run}: {trial.psnr:.3f} dB, {trial.seconds:.0f} s", flush=True)
    table = _table(results)
    print(table)
    if options.output:
        options.output.write_text(table + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--eval", type=Path, action="append", required=True)
    parser.add_argument("--teacher", default="edvr-xs")
    parser.add_argument("--teacher-weights", type=Path)
    parser.add_argument("--student", default="edge-s")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--patch", type=int, default=64)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--run", action="append")
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    options.run = options.run or ["none", "output", "std", "std+output", "srkd", "fakd", "pisr"]
    return options


def _eval_clips(options: argparse.Namespace) -> list[ClipBatch]:
    """As many of each folder: one scene alone would make a lottery of its own textures."""
    clips: list[ClipBatch] = []
    for folder in options.eval:
        library = open_library(
            [folder], scale=4, degradation="bi", cache=options.cache, max_height=MAX_HEIGHT
        )
        clips += validation_clips(library, clip_length=5, count=6, crop=256)
    return clips


def _trial(
    options: argparse.Namespace, run: str, *, seed: int, eval_clips: list[ClipBatch]
) -> Trial:
    objective, *settings = run.split()
    chosen: Mapping[str, Argument] = {
        key: yaml.safe_load(value) for key, value in (s.split("=") for s in settings)
    }
    data = [str(one) for one in options.data]
    given = read_recipe(None, settings=options.settings, options={"data": data})
    with tempfile.TemporaryDirectory() as folder:
        config = replace(
            given,
            teacher=options.teacher,
            teacher_weights=options.teacher_weights,
            student=options.student,
            objective=objective,
            objective_options=dict(chosen),
            cache=options.cache,
            output=Path(folder) / "student.vsrc",
            steps=options.steps,
            batch=options.batch,
            patch=options.patch,
            seed=seed,
            learning_rate=1e-3,
            warmup=50,
            targets="all",
            max_height=MAX_HEIGHT,
            holdout=0.0,
            workers=0,
            checkpoint_every=options.steps,
            device="cpu",
        )
        start = time.perf_counter()
        path = distill(config)
        seconds = time.perf_counter() - start
        return Trial(psnr_on(from_package(open_package(path)), eval_clips), seconds)


def _table(results: Mapping[str, list[Trial]]) -> str:
    lines = ["| objective | PSNR, dB | more than the first, dB | s |", "|---|---|---|---|"]
    first = [trial.psnr for trial in next(iter(results.values()))]
    for run, trials in results.items():
        values = [trial.psnr for trial in trials]
        gains = [value - alone for value, alone in zip(values, first, strict=True)]
        seconds = statistics.mean(trial.seconds for trial in trials)
        lines.append(f"| {run} | {_spread(values)} | {_spread(gains)} | {seconds:.0f} |")
    return "\n".join(lines)


def _spread(values: list[float]) -> str:
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.3f} ± {deviation:.3f}"


if __name__ == "__main__":
    main()
