"""Damages many files, restores each and sums up what became of them."""

from __future__ import annotations

import os
import platform
import re
import statistics
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import av

from support.fuzzing.clips import make_files
from support.fuzzing.damage import MUTATIONS
from support.fuzzing.supervisor import Outcome, judge_leaks, run_batch

FILES_PER_PROCESS = 100
WARM_UP = 50
"""Files of a process that do not count in the mean of its growth."""


def run(
    seeds: dict[str, Path], folder: Path, *, files: int, seed: int, lanes: int = 1
) -> dict[str, Any]:
    """Damage copies of good clips and restore them.

    Args:
        seeds: Names of the clips and where they lie.
        folder: For the files.
        files: How many damaged files to make.
        seed: Of the draws.
        lanes: Processes at a time.

    Returns:
        A report for JSON; `failures` is empty if nothing crashed, hung, leaked or was silent.
    """
    made = list(make_files(folder / "damaged", seeds, files, seed))
    batches = [made[at : at + FILES_PER_PROCESS] for at in range(0, files, FILES_PER_PROCESS)]
    began = time.perf_counter()
    with ThreadPoolExecutor(lanes) as pool:
        runs = list(pool.map(lambda batch: run_batch(batch, folder), batches))
    outcomes = [one for batch in runs for one in batch]
    judge_leaks(outcomes, folder)
    return _summary(outcomes, seconds=time.perf_counter() - began, seed=seed)


def _summary(outcomes: list[Outcome], *, seconds: float, seed: int) -> dict[str, Any]:
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
