"""Damaged videos through `vsrc infer`: nothing may crash, hang or leak, and each gets its word.

    python benchmarks/fuzz.py [--files 500] [--seed 0] [--lanes 1] [--keep FOLDER] [--json FILE]

Good clips of 12 frames, one for each pair of container and codec, are made with ffmpeg and damaged.
Processes of their own take many files each, so that what one file leaves behind shows. All that
lies in tests/support/fuzzing, as tests need it too: clips.py, damage.py, worker.py and, for the
verdict, supervisor.py. A file is a failure if

    crash      the process died, or an exception came out that is no error of vsrc's
    hang       it took longer than LIMIT_SECONDS
    silent     neither status 0 with the line of the result, nor status 1 with a line "vsrc: ..."
    left over  the status is not 0, but an output is there
    count      only video packets were damaged, yet the number of frames changed
    leak       run again and again, the process grows by more than 1 MB each time
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import av

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))  # tests share the fuzzer
from support.fuzzing.clips import make_files, make_seeds
from support.fuzzing.damage import MUTATIONS
from support.fuzzing.supervisor import Outcome, judge_leaks, run_batch

FILES_PER_PROCESS = 100
WARM_UP = 50
"""Files of a process that do not count in the mean of its growth."""


def main() -> None:
    """Make the files, run them, report."""
    options = parsed()
    with folder_of(options.keep) as folder:
        seeds = make_seeds(folder / "seeds", options.seeds.split(",") if options.seeds else None)
        files = list(make_files(folder / "damaged", seeds, options.files, options.seed))
        batches = [
            files[at : at + FILES_PER_PROCESS] for at in range(0, len(files), FILES_PER_PROCESS)
        ]
        began = time.perf_counter()
        with ThreadPoolExecutor(options.lanes) as pool:
            runs = list(pool.map(lambda batch: run_batch(batch, folder), batches))
        outcomes = [one for run in runs for one in run]
        judge_leaks(outcomes, folder)
        report = summary(outcomes, seconds=time.perf_counter() - began, seed=options.seed)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    sys.exit(1 if report["failures"] else 0)


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lanes", type=int, default=1, help="processes at a time")
    parser.add_argument("--seeds", help="only these clips, with commas")
    parser.add_argument("--keep", type=Path, help="leave the files here")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """A folder for the files."""
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="vsrc-fuzz.") as name:
        yield Path(name)


def summary(outcomes: list[Outcome], *, seconds: float, seed: int) -> dict[str, object]:
    """What is to be told of all of them."""
    growth = [one.grown_bytes for one in outcomes]
    # What a process loads and what its allocator takes once shows in its first files.
    warm = [bytes_ for at, bytes_ in enumerate(growth) if at % FILES_PER_PROCESS >= WARM_UP]
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, PyAV {av.__version__}",
        "date": time.strftime("%Y-%m-%d"),
        "seed": seed,
        "files": len(outcomes),
        "seconds": round(seconds, 1),
        "longest_seconds": max((one.seconds for one in outcomes), default=0.0),
        "statuses": dict(Counter(str(one.status) for one in outcomes)),
        "by_kind": {
            kind: dict(Counter(str(one.status) for one in outcomes if one.kind == kind))
            for kind in MUTATIONS
        },
        "growth_bytes_median": round(statistics.median(growth)) if growth else 0,
        "growth_bytes_mean_when_warm": round(statistics.mean(warm)) if warm else 0,
        "words": Counter(
            re.sub(r"\S*/\S+|\d[\d.]*", "N", one.line)[:90] for one in outcomes if one.status
        ).most_common(12),
        "failures": [asdict(one) for one in outcomes if one.failure],
    }


if __name__ == "__main__":
    main()
