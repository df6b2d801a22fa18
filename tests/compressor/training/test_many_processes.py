"""Two processes under torchrun against one process with twice the batch.

Run as a script, this file is what each process does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from vsrc.compressor.networks import create
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.trainer import Trainer

STEPS = 4


@dataclass(frozen=True)
class NoiseBatch:
    lr: Tensor
    hr: Tensor
    sources: tuple[str, ...] = ("noise",)


class NoiseClips:
    """Item i is noise of its own."""

    def __init__(self, clips: int) -> None:
        self.clips = clips

    def __call__(
        self, start: int, /, *, process: int, processes: int
    ) -> Generator[NoiseBatch, None, None]:
        number = start
        while True:
            first = (number * processes + process) * self.clips
            generators = [torch.Generator().manual_seed(first + i) for i in range(self.clips)]
            hr = torch.stack([torch.rand(3, 3, 32, 32, generator=g) for g in generators])
            lr = F.avg_pool2d(hr.flatten(0, 1), 4).reshape(self.clips, 3, 3, 8, 8)
            yield NoiseBatch(lr, hr)
            number += 1


def train(folder: Path, *, clips: int) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    student, teacher = create("edge-s", window=3), create("edvr-xs", window=3)
    objective = create_objective(
        "std", student=student, teacher=teacher, lambda_space=1e-3, lambda_time=1e-3
    )
    config = TrainerConfig(steps=STEPS, warmup=0, batch=clips, log_every=1, device="cpu")
    trainer = Trainer(
        DistillationStep(student, objective, teacher),
        config,
        folder=folder,
        batches=NoiseClips(clips),
    )
    trainer.run()


@pytest.mark.slow
def test_two_processes_learn_what_one_learns_from_twice_the_batch(tmp_path: Path) -> None:
    train(tmp_path / "one", clips=2)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "USE_LIBUV": "0"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, __file__, str(tmp_path / "two")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    curves = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert len(curves[0]) == STEPS
    for one, two in zip(*curves, strict=True):
        for term in ("loss", "loss/hr", "loss/space", "loss/time"):
            # The same numbers, summed in another order; four updates let rounding grow a little.
            assert two[term] == pytest.approx(one[term], rel=1e-4), (term, one["step"])


if __name__ == "__main__":
    train(Path(sys.argv[1]), clips=1)
    torch.distributed.destroy_process_group()
