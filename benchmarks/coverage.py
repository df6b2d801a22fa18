"""How often two reports of the same thing agree, and how often a comparison sees what is not there.

    python benchmarks/coverage.py FOLDER [--reports 40] [--seconds 2] > docs/results/coverage.md

Runs `vsrc bench` again and again, fp32 and int8-cpu in turn, and keeps each report in the folder: a
second call goes on where the first ended. What others do on the machine meanwhile is part of it.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vsrc.runtime.latency.contention import BUSY_SHARE, interval_alone, overall_share
from vsrc.runtime.latency.measurement import split_runs
from vsrc.runtime.latency.regression import compare_reports
from vsrc.runtime.processes.child_process import prepare_child
from vsrc.runtime.report.distribution import samples_needed
from vsrc.runtime.report.interval import Floats, Interval, Statistic, interval_of, mean, median

MODEL = "edge-s"
PRECISIONS = ("fp32", "int8-cpu")
SPEEDS = ("latency_ms.p50", "latency_ms.p95", "latency_ms.p99", "latency_ms.mean", "throughput_fps")


@dataclass(frozen=True)
class Kept:
    """A report that was written."""

    path: Path
    data: dict[str, Any]

    @property
    def runs_ms(self) -> list[tuple[float, ...]]:
        """Samples of each process."""
        return split_runs(self.data["samples_ms"], self.data["samples_per_run"])

    @property
    def taken(self) -> float:
        """Share of the time that others had."""
        return overall_share(self.runs_ms, self.data["taken_share_per_run"])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="where reports are kept")
    parser.add_argument("--reports", type=int, default=40, help="of each precision")
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--shape", default="64x112")
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for index, precision in itertools.product(range(options.reports), PRECISIONS):
        measure(place(options.folder, precision, index), precision, options)
    kept = {
        precision: [
            Kept(path, json.loads(path.read_text(encoding="utf-8")))
            for path in (place(options.folder, precision, at) for at in range(options.reports))
        ]
        for precision in PRECISIONS
    }
    print_found(kept, options)


def place(folder: Path, precision: str, index: int) -> Path:
    return folder / f"{precision}-{index:03}.json"


def measure(path: Path, precision: str, options: argparse.Namespace) -> None:
    """One report, unless it is there."""
    if path.exists():
        return
    arguments = ["bench", MODEL, "--precision", precision, "--shape", options.shape, "--no-stages"]
    arguments += ["--seconds", str(options.seconds), "--threads", str(options.threads)]
    child = prepare_child("from vsrc.cli import main; main()", *arguments, "--json", str(path))
    subprocess.run(child.command, env=child.environment, check=True, stdout=subprocess.DEVNULL)


def print_found(kept: dict[str, list[Kept]], options: argparse.Namespace) -> None:
    first = kept[PRECISIONS[0]][0].data
    machine = first["machine"]
    print("# Do reports of the same thing agree?\n")
    print(
        f"`benchmarks/coverage.py`: {options.reports} reports of `vsrc bench {MODEL} --shape "
        f"{options.shape} --seconds {options.seconds:g}` in fp32 and as many in int8-cpu, in turn, "
        f"{len(first['samples_per_run'])} processes each, {machine['cpu']}, {machine['cores']} "
        f"cores, {first['started_utc'][:10]}.\n"
    )
    print("|  | " + " | ".join(PRECISIONS) + " |\n|---|" + "---:|" * len(PRECISIONS))
    for name, words in ROWS.items():
        print(f"| {name} | " + " | ".join(words(kept[one]) for one in PRECISIONS) + " |")
    fast, slow = (kept[one] for one in reversed(PRECISIONS))
    seen = [verdicts(old, new)["latency_ms.mean"] for old, new in zip(fast, slow, strict=True)]
    print(
        f"\nint8-cpu against the fp32 measured next, which is slower: called worse in "
        f"{seen.count('worse')} of {len(seen)}, better in {seen.count('better')}."
    )


def taken(reports: Sequence[Kept]) -> str:
    low, middle, high = np.percentile([one.taken for one in reports], [0, 50, 100])
    return f"{middle:.0%} ({low:.0%} to {high:.0%})"


def spread(reports: Sequence[Kept]) -> str:
    values = [one.data["latency_ms"]["p50"] for one in reports]
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def width(reports: Sequence[Kept]) -> str:
    shares = [
        (ends.high - ends.low) / one.data["latency_ms"]["p50"]
        for one in reports
        if (ends := stated(median)(one))
    ]
    return f"{statistics.median(shares):.0%}"


def stated(statistic: Statistic, needed: int = 1) -> Callable[[Kept], Interval | None]:
    """The interval that a report states, if it has as many samples as are needed."""

    def interval(one: Kept) -> Interval | None:
        if len(one.data["samples_ms"]) < needed:
            return None
        return interval_alone(one.runs_ms, one.data["taken_share_per_run"], statistic)

    return interval


def p99(values: Floats) -> float:
    return float(np.percentile(values, 99))


def drawn_from_runs(one: Kept) -> Interval | None:
    """That of its processes, what others took left in."""
    return interval_of(one.runs_ms, median)


def drawn_from_samples(one: Kept) -> Interval:
    """That of the samples of its first process as if they were independent."""
    samples = np.asarray(one.runs_ms[0])
    draws = np.random.default_rng(0).choice(samples, (400, len(samples)))
    return Interval(*np.percentile(np.median(draws, axis=1), [2.5, 97.5]))


def agreeing(interval: Callable[[Kept], Interval | None]) -> Callable[[Sequence[Kept]], str]:
    """Share of all pairs of reports whose intervals have a value in common."""

    def words(reports: Sequence[Kept]) -> str:
        known = [found for one in reports if (found := interval(one))]
        pairs = [a.overlaps(b) for a, b in itertools.combinations(known, 2)]
        return f"{statistics.fmean(pairs):.1%} of {len(pairs)}" if pairs else "-"

    return words


def undisturbed(reports: Sequence[Kept]) -> str:
    """The reports during which others took little: their p50, widths and agreement."""
    quiet = [one for one in reports if one.taken <= BUSY_SHARE]
    if len(quiet) < 2:
        return f"{len(quiet)} reports"
    return f"{spread(quiet)}, width {width(quiet)}, {agreeing(stated(median))(quiet)} agree"


def false_alarms(reports: Sequence[Kept]) -> str:
    """Pairs of reports, neighbours and far apart, of which a speed is called better or worse."""
    found = [verdicts(old, new) for old, new in _pairs(reports)]
    changed = [any(one[name] in ("better", "worse") for name in SPEEDS) for one in found]
    worse = [any(one[name] == "worse" for name in SPEEDS) for one in found]
    return f"{sum(changed)} ({sum(worse)} worse) of {len(found)}"


def verdicts(old: Kept, new: Kept) -> dict[str, str]:
    return {one.metric: one.verdict for one in compare_reports(old.path, new.path).changes}


def _pairs(reports: Sequence[Kept]) -> Iterator[tuple[Kept, Kept]]:
    half = len(reports) // 2
    yield from itertools.pairwise(reports)
    yield from zip(reports, reports[half:], strict=False)


ROWS: dict[str, Callable[[Sequence[Kept]], str]] = {
    "time that others took, at most: median (least to most)": taken,
    "p50 of a report, ms: median (least to most)": spread,
    "width of its stated interval, median": width,
    "pairs whose stated intervals of p50 agree": agreeing(stated(median)),
    "... of the mean": agreeing(stated(mean)),
    "... of p99": agreeing(stated(p99, samples_needed(99))),
    f"the same of reports of which others took at most {BUSY_SHARE:.0%}": undisturbed,
    "for comparison: of p50, what others took left in": agreeing(drawn_from_runs),
    "for comparison: of p50, samples of one process drawn singly": agreeing(drawn_from_samples),
    "`--compare` sees a change of speed that is none": false_alarms,
}

if __name__ == "__main__":
    main()
