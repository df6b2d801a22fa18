"""The documented command line of several processes, on a machine without GPUs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

pytestmark = pytest.mark.slow

STEPS = 6
LAUNCHER = ["torchrun"] if shutil.which("torchrun") else [sys.executable, "-m"]
LAUNCHER += [] if LAUNCHER == ["torchrun"] else ["torch.distributed.run"]

NETWORK = """
import os, signal
import torch
from torch import nn
from vsrc.runtime.spec import NetworkSpec

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.calls = nn.Conv2d(3, 12, 3, padding=1), 0
        self.spec = NetworkSpec(name="small", arguments={}, scale=2, window=1, halo=1,
                                parameters=336, gmac_per_lr_pixel=3e-7)

    def forward(self, lr):
        self.calls += self.training
        if os.environ.get("RANK", "1") == "1" and self.calls == 6:  # 1: on noise
            if os.environ.get("END") == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if os.environ.get("END") == "raise":
                raise RuntimeError("no more")
        return torch.pixel_shuffle(self.conv(lr), 2)

def small():
    return Small()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network of a user and two videos."""
    folder = tmp_path_factory.mktemp("launched")
    (folder / "mine.py").write_text(NETWORK, encoding="utf-8")
    (folder / "clips").mkdir()
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        with av.open(str(folder / "clips" / f"{seed}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=24)
            assert isinstance(stream, av.VideoStream)
            stream.width = stream.height = 32
            stream.pix_fmt = "bgr0"
            for at in range(8):
                picture = av.VideoFrame.from_ndarray(np.roll(noise, at, axis=1), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())
    return folder


def distil(
    folder: Path, name: str, *launcher: str, batch: int = 1, end: str = "", resume: bool = False
) -> subprocess.CompletedProcess[str]:
    settings = {
        "student": "mine:small",
        "objective": "none",
        "scale": 2,
        "patch": 16,
        "batch": batch,
        "checkpoint_every": 2,
        "log_every": 1,
        "holdout": 0,
        "clip_length": 3,
        "warmup": 0,
    }
    command = [*launcher, "vsrc", "distill", "--data", "clips", "-o", name]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    command += ["--steps", str(STEPS), *(["--resume"] if resume else [])]
    hidden = {"CUDA_VISIBLE_DEVICES": "", "XDG_CACHE_HOME": str(folder), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **hidden, "END": end},
        capture_output=True,
        text=True,
        timeout=300,
    )


def launched(
    folder: Path, name: str, *, end: str = "", resume: bool = False
) -> subprocess.CompletedProcess[str]:
    launcher = [*LAUNCHER, "--nproc-per-node", "2", "--no-python"]
    return distil(folder, name, *launcher, end=end, resume=resume)


def losses(folder: Path, name: str) -> list[float]:
    lines = (folder / f"{name}.run" / "log.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, STEPS + 1))
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def unbroken(folder: Path) -> list[float]:
    done = launched(folder, "unbroken.vsrc")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["unbroken.vsrc"]
    return losses(folder, "unbroken.vsrc")


def test_a_run_that_fails_ends_with_one_line(folder: Path) -> None:
    done = distil(folder, "alone.vsrc", end="raise")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("vsrc: ")]
    assert line.startswith("vsrc: step 5: RuntimeError: no more on clips/")
    assert "last good checkpoint: alone.vsrc.run/checkpoints/step-00000004" in line


def test_two_processes_are_one_training(folder: Path, unbroken: list[float]) -> None:
    one = distil(folder, "one.vsrc", batch=2)
    assert one.returncode == 0, one.stderr
    # The same numbers, summed in another order; updates let rounding grow a little.
    assert unbroken == pytest.approx(losses(folder, "one.vsrc"), rel=1e-4)


@pytest.mark.parametrize("end", ["kill", "raise"])
def test_one_process_that_ends_ends_all_and_the_run_resumes(
    folder: Path, unbroken: list[float], end: str
) -> None:
    broken = launched(folder, f"{end}.vsrc", end=end)
    assert broken.returncode == 1
    (line,) = [line for line in broken.stderr.splitlines() if line.startswith("vsrc: ")]
    assert re.match(r"vsrc: step 5, process [01] of 2: ", line)
    # Process 0 may still be writing the checkpoint of step 4.
    assert re.search(rf"last good checkpoint: {end}.vsrc.run/checkpoints/step-0000000[24];", line)
    assert ("RuntimeError: no more on clips/" in line) == (end == "raise")
    resumed = launched(folder, f"{end}.vsrc", resume=True)
    assert resumed.returncode == 0, resumed.stderr
    assert losses(folder, f"{end}.vsrc") == unbroken


def test_processes_that_do_not_train_together_are_refused(folder: Path) -> None:
    alone = {"WORLD_SIZE": "2", "RANK": "0"}
    words = [f"{key}={value}" for key, value in alone.items()]
    done = distil(folder, "refused.vsrc", "env", *words)
    assert done.returncode == 1
    assert "2 processes were started, but the group that trains together has 1" in done.stderr
    assert not (folder / "refused.vsrc").exists()
