"""Learning curves of runs, one line for each time that held-out PSNR was measured.

python benchmarks/train/curves.py RUN_FOLDER [RUN_FOLDER ...] > curves.csv
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("runs", type=Path, nargs="+")
    print("run,step,held_out_psnr_y_db,learning_rate")
    for run in parser.parse_args().runs:
        for step, psnr, rate in measured(run / "log.jsonl"):
            print(f"{run.name.removesuffix('.vsrc.run')},{step},{psnr:.3f},{rate:.2e}")


def measured(log: Path) -> Iterator[tuple[int, float, float]]:
    """Step, PSNR of Y and learning rate wherever the PSNR is a new one."""
    last = None
    for line in log.read_text(encoding="utf-8").splitlines():
        said = json.loads(line)
        if (psnr := said.get("psnr")) is not None and psnr != last:
            last = psnr
            yield said["step"], psnr, said["learning_rate"]


if __name__ == "__main__":
    main()
