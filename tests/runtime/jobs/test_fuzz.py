"""A few damaged videos, where the benchmark takes five hundred, and what both would notice."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from support.fuzzing.campaign import run
from support.fuzzing.clips import Damaged, make_seeds
from support.fuzzing.damage import MUTATIONS
from support.fuzzing.supervisor import judged


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_damaged_videos_get_a_status_and_a_line(tmp_path: Path) -> None:
    seeds = make_seeds(tmp_path / "seeds", ["h264.mp4", "mpeg4.avi", "vp9.webm"])
    report = run(seeds, tmp_path, files=18, seed=7)
    assert report["failures"] == []
    assert report["files"] == 18
    # Damage that stops nothing was no damage, and damage that stops everything proves nothing.
    assert set(report["statuses"]) == {"0", "1"}


ANSWER: dict[str, Any] = {
    "status": 0, "trouble": "", "seconds": 0.1, "out": "b.mkv  12 frames, 9.0 fps\n", "err": "",
    "left_over": False, "grown_bytes": 0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "failure"),
    [
        ({}, ""),
        ({"out": "b.mkv  11 frames, 9.0 fps\n"}, "count"),
        ({"out": ""}, "silent"),
        ({"status": 1, "err": "vsrc: a.mkv is not a video\n"}, ""),
        ({"status": 1, "err": "Traceback\n"}, "silent"),
        ({"status": 2, "err": "vsrc: bad option\n"}, "silent"),
        ({"status": 1, "err": "vsrc: disk full\n", "left_over": True}, "left over"),
        ({"status": None, "trouble": "KeyError"}, "crash"),
    ],
)
def test_each_failure_is_noticed(change: dict[str, Any], failure: str) -> None:
    file = Damaged(Path("a.mkv"), "packets", 12)
    assert judged(file, {**ANSWER, **change}).failure == failure


def test_a_process_that_is_lost_is_noticed() -> None:
    file = Damaged(Path("a.mkv"), "bits", None)
    assert judged(file, "hang").failure == "hang"
    assert judged(file, "crash (status -11)").failure == "crash"


def test_damage_is_the_same_for_the_same_seed() -> None:
    data, other = bytes(range(256)) * 20, bytes(5000)
    for name, mutate in MUTATIONS.items():
        if mutate is None:
            continue
        results = [mutate(data, other, random.Random(3)) for _ in range(2)]
        assert results[0] == results[1], name
        assert results[0] != data, name
