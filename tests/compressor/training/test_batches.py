from __future__ import annotations

import gc
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from itertools import islice
from multiprocessing import synchronize
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from vsrc.compressor.data.dataset import ClipBatch, ClipDataset, ClipItem
from vsrc.compressor.training.batches import batches_from
from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.failures import FailurePlace, training_error
from vsrc.runtime.errors import DataError

PLACE = FailurePlace(step=3, sources=("a@0",), checkpoint=None, config=TrainerConfig())


class Numbered:
    """Item i is a clip whose every byte is i."""

    def __getitem__(self, index: int) -> ClipItem:
        picture = torch.from_numpy(np.full((2, 3, 4, 4), index, np.uint8))
        return ClipItem(picture, picture, f"item {index}")


def sources(
    start: int, *, process: int, processes: int, batch: int = 2, count: int = 3
) -> list[str]:
    stream = batches_from(
        start,
        dataset=cast("ClipDataset", Numbered()),
        batch=batch,
        process=process,
        processes=processes,
        workers=0,
    )
    return [source for found in islice(stream, count) for source in found.sources]


def test_two_processes_see_what_one_sees_with_twice_the_batch() -> None:
    left = sources(4, process=0, processes=2)
    right = sources(4, process=1, processes=2)
    pairs = [(left[i : i + 2], right[i : i + 2]) for i in range(0, 6, 2)]
    together = [source for pair in pairs for part in pair for source in part]
    assert together == sources(4, process=0, processes=1, batch=4)


def test_a_later_start_goes_on_where_an_earlier_one_would_be() -> None:
    assert sources(0, process=0, processes=1)[4:] == sources(2, process=0, processes=1, count=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_bytes_become_floats_in_order(workers: int) -> None:
    stream = batches_from(
        0,
        dataset=cast("ClipDataset", Numbered()),
        batch=1,
        process=0,
        processes=1,
        workers=workers,
    )
    values = [batch.lr.mean().item() * 255 for batch in islice(stream, 4)]
    assert values == pytest.approx([0, 1, 2, 3])


@pytest.mark.skipif(sys.platform != "linux", reason="sockets have no paths on Windows")
def test_workers_send_batches_where_the_temporary_folder_has_a_long_name(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    name = test_bytes_become_floats_in_order.__name__
    subprocess.run(
        [sys.executable, "-c", f"from {__name__} import {name} as check; check(1)"],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(folder)},
        timeout=120,
        check=True,
    )


class Failing:
    """Does something instead of returning an item."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def __getitem__(self, index: int) -> ClipItem:
        self._act()
        raise FileNotFoundError(f"clip {index} is gone")


def failing_stream(act: Callable[[], object], *, workers: int) -> Generator[ClipBatch, None, None]:
    return batches_from(
        0,
        dataset=cast("ClipDataset", Failing(act)),
        batch=1,
        process=0,
        processes=1,
        workers=workers,
    )


@pytest.mark.parametrize("workers", [0, 1])
def test_a_clip_that_cannot_be_read_is_named(workers: int) -> None:
    with pytest.raises(DataError, match=r"^FileNotFoundError: clip 0 is gone$"):
        next(failing_stream(lambda: None, workers=workers))
    assert multiprocessing.active_children() == []


@pytest.mark.timeout(120)
def test_locks_that_a_killed_worker_held_are_not_waited_for() -> None:
    def hold() -> None:
        for one in gc.get_objects():
            if type(one) is synchronize.Event:
                vars(one)["_cond"].acquire()  # as where it looks whether to go on

    stream = failing_stream(hold, workers=1)
    with pytest.raises(DataError, match="clip 0 is gone"):
        next(stream)
    del stream
    gc.collect()  # torch's iterator, which the traceback kept
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("end", "cause"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "signal: Killed"),
        (lambda: os._exit(3), r"DataLoader worker \(pid"),
    ],
)
def test_a_worker_that_dies_ends_the_stream(end: Callable[[], object], cause: str) -> None:
    with pytest.raises(RuntimeError) as caught:
        next(failing_stream(end, workers=1))
    message = str(training_error(caught.value, PLACE))
    assert re.search(f"data loading process died: .*{cause}.*--set workers=0", message)
    assert "memory" not in message


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers cannot be copies")
def test_workers_end_with_the_stream_whatever_they_do() -> None:
    stream = batches_from(
        0, dataset=cast("ClipDataset", Stuck()), batch=1, process=0, processes=1, workers=1
    )
    next(stream)
    children = multiprocessing.active_children()
    assert len(children) == 1
    stream.close()
    assert [child for child in children if child.is_alive()] == []


class Stuck(Numbered):
    """Gives its first item alone."""

    def __getitem__(self, index: int) -> ClipItem:
        if index:
            threading.Event().wait()
        return super().__getitem__(index)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers cannot be copies")
def test_workers_import_nothing_from_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Python 3.14 starts new interpreters by default; `spawn` does the same.
    for name in ("multiprocessing", "torch", "numpy", "struct", "vsrc"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit(9)", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    method = multiprocessing.get_start_method()
    multiprocessing.set_start_method("spawn", force=True)
    try:
        test_bytes_become_floats_in_order(1)
    finally:
        multiprocessing.set_start_method(method, force=True)
