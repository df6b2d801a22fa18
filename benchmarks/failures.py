"""Time how long failing training runs take to end; write docs/results/failures.md.

    python benchmarks/failures.py

Each row is one `vsrc distill` with two data loading processes that fails in one way in its sixth
step (or, for what is checked on noise, before the data is read). Timed is what comes after the
failure: until its line is printed, and until the last process of the run has ended, with the CPU
time that the processes took meanwhile. On a busy machine wall time says little about vsrc, since
processes wait for a core; CPU time, and that the run ends at all, do.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import psutil

from vsrc.runtime.machine import this_machine

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "failures.md"
LIMIT_S = 5.0
PATIENCE_S = 1500.0

NETWORK = """
import os, signal, time
import torch
from torch import nn
from vsrc.runtime.spec import NetworkSpec

def note():
    with open(os.environ["MOMENT"], "a") as file:
        print(time.time(), file=file, flush=True)

class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.calls = nn.Conv2d(3, 12, 3, padding=1), 0
        self.spec = NetworkSpec(name="small", arguments={}, scale=2, window=1, halo=1,
                                parameters=336, gmac_per_lr_pixel=3e-7)

    def forward(self, lr):
        self.calls += self.training
        end, at_step = os.environ["END"], self.calls == 6  # 1: on noise
        is_here = os.environ.get("RANK", "1") == "1"
        sr = torch.pixel_shuffle(self.conv(lr), 2)
        if end == "size":
            note()
            return sr[..., 1:]
        if end == "dtype":
            note()
            return (255 * sr).byte()
        if end == "unused":
            note()
            return torch.pixel_shuffle(self.conv.weight.detach().sum() + lr.repeat(1, 4, 1, 1), 2)
        if end == "tuple":
            note()
            return sr, sr
        if not at_step or not is_here:
            return sr
        if end == "exception":
            note()
            raise RuntimeError("no more")
        if end == "memory":
            note()
            torch.empty(10**15)
        if end == "not finite":
            note()
            return sr * float("nan")
        if end == "killed":
            note()
            os.kill(os.getpid(), signal.SIGKILL)
        if end == "worker":
            import psutil
            note()
            for child in psutil.Process().children():
                child.kill()
        if end == "data":
            import pathlib
            note()
            for path in pathlib.Path(os.environ["XDG_CACHE_HOME"]).rglob("hr.u8"):
                os.truncate(path, 0)
        if end == "stop":
            note()
            os.kill(os.getpid(), signal.SIGTERM)
        return sr

def small():
    return Small()
"""

KINDS = {
    "exception": "an exception in the network",
    "size": "an output of the wrong size (found on noise)",
    "tuple": "a tuple instead of a tensor (found on noise)",
    "memory": "memory that runs out",
    "not finite": "a loss that is not finite",
    "worker": "data loading processes that are killed",
    "data": "decoded clips that are cut off while they are read",
    "stop": "SIGTERM",
    "unused": "a parameter that no gradient reaches (found on noise)",
    "dtype": "an output of integers (found on noise)",
}
LAUNCHED = {**KINDS, "killed": "a process that is killed"}
"""Under torchrun, where what happens in a step happens in one of two processes."""


@dataclass(frozen=True)
class Row:
    """One run."""

    words: str
    status: int
    line_s: float | None
    end_s: float
    cpu_s: float
    line: str


def main() -> None:
    """Run each kind and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "mine.py").write_text(NETWORK, encoding="utf-8")
        write_clips(folder / "clips")
        torchrun = ["torchrun", "--nproc-per-node", "2", "--no-python"]
        for launcher, kinds in (([], KINDS), (torchrun, LAUNCHED)):
            for end, words in kinds.items():
                where = "torchrun, 2 processes: " if launcher else ""
                rows.append(run(folder, end, where + words, launcher))
                print(row_text(rows[-1]), flush=True)
    arguments.output.write_text(page(rows), encoding="utf-8")


def write_clips(folder: Path) -> None:
    """Two short videos of noise."""
    folder.mkdir()
    for seed in range(2):
        noise = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        with av.open(str(folder / f"{seed}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=24)
            stream.width = stream.height = 32
            stream.pix_fmt = "bgr0"
            for at in range(8):
                picture = av.VideoFrame.from_ndarray(np.roll(noise, at, axis=1), format="rgb24")
                container.mux(stream.encode(picture))
            container.mux(stream.encode())


def run(folder: Path, end: str, words: str, launcher: list[str]) -> Row:
    """Run one training until its last process has ended."""
    moment = folder / "moment"
    moment.unlink(missing_ok=True)
    settings = {
        "student": "mine:small",
        "objective": "none",
        "scale": 2,
        "patch": 16,
        "batch": 1,
        "checkpoint_every": 2,
        "holdout": 0,
        "clip_length": 3,
        "warmup": 0,
        "workers": 2,
    }
    name = f"{end.replace(' ', '-')}-{len(launcher)}.vsrc"
    command = [*launcher, "vsrc", "distill", "--data", "clips", "-o", name, "--steps", "400"]
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    hidden = {
        "CUDA_VISIBLE_DEVICES": "",
        "XDG_CACHE_HOME": str(folder / "cache" / name),
        "END": end,
    }
    process = subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, **hidden, "MOMENT": str(moment), "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    printed, before, cpu = None, 0.0, CpuTime(process.pid)
    os.set_blocking(process.stderr.fileno(), False)
    text = ""
    started = time.time()
    while (has_ended := process.poll()) is None or cpu.is_alive():
        cpu.look()
        if not moment.exists():
            before = cpu.seconds
        with contextlib.suppress(TypeError):  # nothing to read yet
            text += process.stderr.read() or ""
        if printed is None and "vsrc: " in text:
            printed = time.time()
        if time.time() - started > PATIENCE_S:
            cpu.kill()
        time.sleep(0.02)
    stopped = time.time()
    text += process.stderr.read() or ""
    line = next((each for each in text.splitlines() if each.startswith("vsrc: ")), "")
    if not moment.exists():
        raise SystemExit(f"{words}: the run ended before it failed:\n{text}")
    failed = float(moment.read_text().splitlines()[-1])
    assert has_ended is not None
    return Row(
        words,
        has_ended,
        None if printed is None else printed - failed,
        stopped - failed,
        max(cpu.seconds - before, 0.0),
        line,
    )


class CpuTime:
    """CPU time of a process and all that it started, of those that ended, too."""

    def __init__(self, pid: int) -> None:
        self._processes = {pid: psutil.Process(pid)}
        self._seconds: dict[int, float] = {}

    @property
    def seconds(self) -> float:
        """As last looked at, so short of at most what came in the last 20 ms."""
        return sum(self._seconds.values())

    def look(self) -> None:
        """Read the clocks of all, and find new ones."""
        for pid, process in list(self._processes.items()):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self._seconds[pid] = times.user + times.system
                for child in process.children():
                    self._processes.setdefault(child.pid, child)

    def is_alive(self) -> bool:
        """Whether one of them has not ended."""
        for process in self._processes.values():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    return True
        return False

    def kill(self) -> None:
        """End all that are left."""
        for process in self._processes.values():
            with contextlib.suppress(psutil.Error):
                process.kill()


def row_text(row: Row) -> str:
    """One line of the table."""
    printed = "-" if row.line_s is None else f"{row.line_s:.1f}"
    line = row.line.replace("|", "\\|")
    return (
        f"| {row.words} | {row.status} | {printed} | {row.end_s:.1f} | {row.cpu_s:.1f} | {line} |"
    )


def page(rows: list[Row]) -> str:
    """The page of results."""
    machine = this_machine()
    load = os.getloadavg()[1]
    late = [row.words for row in rows if row.end_s > LIMIT_S]
    slow = [row.words for row in rows if row.cpu_s > LIMIT_S]
    waited = 1 - sum(row.cpu_s for row in rows) / sum(row.end_s for row in rows)
    lines = [
        "# How training that fails ends",
        "",
        f"From `benchmarks/failures.py`, on {machine.cpu or machine.architecture} with "
        f"{os.cpu_count()} cores and a load of {load:.0f} (5 minutes): other work ran beside it. "
        "Times are wall time and begin at the failure; CPU time is that of all processes of the "
        "run from then on. "
        f"{len(rows) - len(late)} of {len(rows)} ended within {LIMIT_S:g} s of wall time, "
        f"{len(rows) - len(slow)} within {LIMIT_S:g} s of CPU time; for {100 * waited:.0f} % of "
        "the wall time the processes waited for a core or for each other.",
        "",
        "| failure | status | line after, s | ended after, s | CPU, s | the line |",
        "|---|---:|---:|---:|---:|---|",
        *map(row_text, rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
