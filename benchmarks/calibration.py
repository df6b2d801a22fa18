"""What int8 costs and gains after `vsrc calibrate`, for a student that ships.

    python benchmarks/calibration.py edge-s CLIPS... --truth VID4 [--windows 100] [--frames 8]

For each method of finding ranges: time and memory of the command, PSNR of int8 pictures against
fp32 on windows of the draw, and Y-PSNR against ground truth on clips that were not drawn from, of
both int8 graphs beside fp32. Then the time of the graph for CPUs, as a ratio to fp32 in one run.
Results as Markdown.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vsrc.calibration.calibration_config import METHODS
from vsrc.calibration.calibration_file import read_calibration
from vsrc.export.graphs.check_frames import real_window
from vsrc.runtime.package import open_package
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.shipped_models import shipped

INT8 = ("int8", "int8-cpu")


def run(*arguments: str | Path) -> tuple[str, float, float]:
    """Run a command of vsrc in a process of its own: what it prints, seconds, peak memory in GB."""
    began = time.perf_counter()
    child = prepare_child("from vsrc.cli import main; main()", *map(str, arguments))
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(child.command, env=child.environment, stdout=out)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, arguments))} ended with {process.returncode}")
        out.seek(0)
        return out.read(), time.perf_counter() - began, usage.ru_maxrss / 1e6


def psnr_y(package: Path, precision: str, truth: Path, frames: int) -> float:
    """Mean over the clips."""
    asked = ("--precision", precision, "--data", truth, "--frames", str(frames))
    text, _, _ = run("eval", package, *asked, "--metrics", "psnr", "--json")
    return float(json.loads(text)["rows"][-1]["mean"]["psnr_y"])


def export(package: Path, precision: str) -> None:
    # Half precision beside int8 costs time on a CPU and tells nothing of int8.
    run(
        *("export", package, "--precision", precision, "--overwrite", "--no-halves"),
        *(("--int8-with", "fp32") if precision == "int8" else ()),
        *("--allow-lossy",),
    )


def time_ratio(package: Path, *, rounds: int = 15) -> str:
    """int8-cpu over fp32, one thread, 180 x 320, in turns."""
    opened = open_package(package)
    lr = real_window(opened.spec.network.window, height=180, width=320)
    sessions = {p: opened.session(precision=p, threads=1) for p in ("fp32", "int8-cpu")}
    took: dict[str, list[float]] = {name: [] for name in sessions}
    for _ in range(rounds):
        for name, session in sessions.items():
            began = time.process_time()
            session(lr)
            took[name].append(time.process_time() - began)
    pairs = zip(took["int8-cpu"][2:], took["fp32"][2:], strict=True)
    ratios = [int8 / fp32 for int8, fp32 in pairs]
    low, high = np.quantile(ratios, [0.25, 0.75])
    return f"{statistics.median(ratios):.2f} (quartiles {low:.2f} to {high:.2f})"


def row(cells: Sequence[object]) -> None:
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("student")
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--truth", required=True, type=Path)
    parser.add_argument("--windows", type=int, default=100)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder) / "student.vsrc"
        shutil.copytree(shipped(options.student), package)
        if "fp32" not in open_package(package).spec.graphs:
            run("export", package, "--no-halves")
        fp32 = psnr_y(package, "fp32", options.truth, options.frames)
        print(f"{options.student}: {options.windows} windows; fp32 has {fp32:.3f} dB Y\n")
        row(["method", "seconds", "peak GB", "dB from fp32", *(f"{p}, dB Y" for p in INT8)])
        row(["---"] * 6)
        for method in options.methods:
            _, seconds, peak = run(
                *("calibrate", package, *options.clips, "--method", method, "--overwrite"),
                *("--windows", str(options.windows), "--threads", str(options.threads)),
                *("--min-psnr", "1"),
            )
            found = read_calibration(package)
            assert found is not None
            gains = []
            for precision in INT8:
                export(package, precision)
                score = psnr_y(package, precision, options.truth, options.frames)
                gains.append(f"{score - fp32:+.3f}")
            row([method, f"{seconds:.0f}", f"{peak:.2f}", f"{found.psnr_db or 0:.2f}", *gains])
        print(f"\nint8-cpu takes {time_ratio(package)} of the time of fp32")


if __name__ == "__main__":
    main()
