"""How fast clips come out of the cache, and how that compares with what the CPU trainer eats.

    python benchmarks/data.py [--data DIR] [--cache DIR] [--clip-length 5] [--patch 256]

Without --data a clip of noise is made, 1280x720, because only the number of bytes matters. Three
things are measured: items and collating in this process; batches as the trainer gets them, from
workers; and the least that a trainer can do with them, which is to train the smallest student by
the true frames alone. The wall clock tells what this machine gave while others used it too; CPU
time a clip tells what an idle one would give: cores / CPU time.

Wanted: 400 clips of 5 x 256x256 a second on 2 cores, and 5 times what the trainer eats.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import av
import numpy as np
import torch

from vsrc.compressor.data import ClipBatch, ClipDataset, collate, open_library
from vsrc.compressor.networks import create
from vsrc.compressor.training.batches import batches_from
from vsrc.runtime.spec import NetworkSpec

BATCH = 8
CORES = len(os.sched_getaffinity(0))


@dataclass(frozen=True)
class Pace:
    """Medians over the rounds.

    Attributes:
        clips_per_second: By the wall clock.
        cpu_ms_per_clip: CPU time of this process, ms.
    """

    clips_per_second: float
    cpu_ms_per_clip: float


def main() -> None:
    """Measure and print."""
    options = parsed()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        data = options.data or noise(folder / "noise.mkv")
        library = open_library([data], scale=4, degradation="bi", cache=options.cache or folder)
        dataset = ClipDataset(library, clip_length=options.clip_length, patch=options.patch, seed=0)
        alone = pace(one_process(dataset), rounds=options.rounds, batches=25)
        workers = batches_from(
            0, dataset=dataset, batch=BATCH, process=0, processes=1, workers=CORES
        )
        loader = pace(workers, rounds=options.rounds, batches=25)
        trainer = pace(training_steps(next(workers)), rounds=2, batches=1)
    result = {
        "clip": f"{options.clip_length} x {options.patch}x{options.patch}",
        "cores": CORES,
        "load_average": os.getloadavg()[0],
        "one process": asdict(alone),
        f"{CORES} workers": asdict(loader),
        "one process, idle machine, all cores": CORES * 1000 / alone.cpu_ms_per_clip,
        "trainer": asdict(trainer),
        "loader to trainer, wall": loader.clips_per_second / trainer.clips_per_second,
        "loader to trainer, CPU": trainer.cpu_ms_per_clip / alone.cpu_ms_per_clip,
    }
    print(json.dumps(result, indent=2))


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--clip-length", type=int, default=5)
    parser.add_argument("--patch", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=5)
    return parser.parse_args()


def noise(path: Path) -> Path:
    """A video of noise, 40 frames of 1280x720, lossless."""
    rng = np.random.default_rng(0)
    still = rng.integers(0, 256, (720, 1280, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 720, 1280, "bgr0"
        for _ in range(40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(still, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def one_process(dataset: ClipDataset) -> Iterator[ClipBatch]:
    """Batches made here, without workers."""
    torch.set_num_threads(1)
    for first in itertools.count(0, BATCH):
        yield collate([dataset[first + number] for number in range(BATCH)])


def training_steps(batch: ClipBatch) -> Iterator[ClipBatch]:
    """Teach the smallest student one batch after another; every frame of a clip is restored."""
    torch.set_num_threads(CORES)
    student = create("edge-s", scale=4)
    assert isinstance(student.spec, NetworkSpec)
    optimizer = torch.optim.Adam(student.parameters())
    length, radius = batch.lr.shape[1], student.spec.radius
    while True:
        for t in range(length):
            frames = [min(max(t + step, 0), length - 1) for step in range(-radius, radius + 1)]
            loss = (student(batch.lr[:, frames]) - batch.hr[:, t]).abs().mean()
            torch.autograd.backward(loss)
        optimizer.step()
        optimizer.zero_grad()
        yield batch


def pace(source: Iterator[ClipBatch], *, rounds: int, batches: int) -> Pace:
    """Take batches and time it; one round more at the beginning is warm-up."""
    times = [timed(lambda: list_of(source, batches)) for _ in range(rounds + 1)][1:]
    wall = statistics.median(wall for wall, _ in times)
    cpu = statistics.median(cpu for _, cpu in times)
    clips = batches * BATCH
    return Pace(clips_per_second=clips / wall, cpu_ms_per_clip=cpu * 1000 / clips)


def list_of(source: Iterator[ClipBatch], count: int) -> None:
    """Use up so many batches, keeping none."""
    for _ in itertools.islice(source, count):
        pass


def timed(job: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU seconds of a job."""
    wall, cpu = time.perf_counter(), time.process_time()
    job()
    return time.perf_counter() - wall, time.process_time() - cpu


if __name__ == "__main__":
    main()
