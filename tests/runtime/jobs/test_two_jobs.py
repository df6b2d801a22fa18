"""Two jobs with one output never mix, whether one after the other or at once."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.enlarger import Frames
from vsrc.runtime.encode import segment_encoder
from vsrc.runtime.encode.segments import SegmentStore, StoredPacket, lock_output, resume_folder
from vsrc.runtime.errors import MediaError, StoppedError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def _short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)


@pytest.fixture
def source(tmp_path: Path, write_clip: Make, moving: Make) -> Path:
    return Path(write_clip(tmp_path / "a.mp4", moving(40)))


def config(source: Path, output: Path, **options: Any) -> InferConfig:  # noqa: ANN401
    return InferConfig((source,), output, preset="ultrafast", **options)


def acting(session: Any, at: int, act: Callable[[], None]) -> Any:  # noqa: ANN401
    """The session; it does something in its call number `at`."""
    calls = iter(range(10**6))

    class Acting(type(session)):  # type: ignore[misc]
        def __call__(self, lr: Frames, /) -> Frames:
            if next(calls) == at:
                act()
            return np.asarray(super().__call__(lr))

    return Acting()


def stop() -> None:
    raise KeyboardInterrupt


def test_a_job_between_two_runs_of_another_leaves_no_frame(
    tmp_path: Path, source: Path, enlarger: Make
) -> None:
    whole, mixed = tmp_path / "whole.mp4", tmp_path / "mixed.mp4"
    infer(config(source, whole, crf=18), session=enlarger())
    for crf in (18, 40):
        with pytest.raises(StoppedError):
            infer(config(source, mixed, crf=crf), session=acting(enlarger(), 25, stop))
    infer(config(source, mixed, crf=18), session=enlarger())
    assert mixed.read_bytes() == whole.read_bytes()


def test_segments_of_another_job_under_this_label_are_made_again(
    tmp_path: Path, source: Path, enlarger: Make
) -> None:
    whole, mixed, other = (tmp_path / f"{name}.mp4" for name in ("whole", "mixed", "other"))
    infer(config(source, whole, crf=18), session=enlarger())
    for output, crf in ((mixed, 18), (other, 40)):
        with pytest.raises(StoppedError):
            infer(config(source, output, crf=crf), session=acting(enlarger(), 25, stop))
    segments = sorted(resume_folder(other).glob("*.segment"))
    assert segments
    for segment in segments:
        shutil.copy(segment, resume_folder(mixed))
    infer(config(source, mixed, crf=18), session=enlarger())
    assert mixed.read_bytes() == whole.read_bytes()


def test_only_one_process_makes_a_result(tmp_path: Path, source: Path, enlarger: Make) -> None:
    output = tmp_path / "b.mp4"

    def run_another() -> None:
        with pytest.raises(MediaError, match=r"b\.mp4 is being written by another vsrc process"):
            infer(config(source, output, crf=40), session=enlarger())

    infer(config(source, output, crf=18), session=acting(enlarger(), 20, run_another))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_shares_exclude_a_whole_run_and_not_each_other(tmp_path: Path) -> None:
    output = tmp_path / "b.mp4"
    with lock_output(output, shared=True), lock_output(output, shared=True):
        with pytest.raises(MediaError, match="another vsrc process"), lock_output(output):
            pass
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []
    with lock_output(output):
        with pytest.raises(MediaError), lock_output(output, shared=True):
            pass
        assert list(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def _hold(output: Path, ready: Any) -> None:  # noqa: ANN401
    with lock_output(output):
        ready.set()
        signal.pause()


def test_the_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    output = tmp_path / "b.mp4"
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    holder = context.Process(target=_hold, args=(output, ready))
    holder.start()
    assert ready.wait(60)
    with pytest.raises(MediaError, match="another vsrc process"), lock_output(output):
        pass
    assert holder.pid is not None
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with lock_output(output):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exists", [False, True])
@pytest.mark.parametrize("name", ["b.mp4", "out/%03d.png"])
def test_a_result_that_appeared_meanwhile_is_kept(
    tmp_path: Path, source: Path, enlarger: Make, exists: bool, name: str
) -> None:
    output = tmp_path / name
    place = output if output.suffix == ".mp4" else output.parent / "000.png"
    if exists and place == output:
        place.write_text("old")

    def appear() -> None:
        place.parent.mkdir(exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text("of another program")

    settings = config(source, output, overwrite=exists)
    with pytest.raises(MediaError, match="another process"):
        infer(settings, session=acting(enlarger(), 20, appear))
    assert place.read_text() == "of another program"
    session = enlarger()  # what was finished is there still
    infer(replace(settings, overwrite=True), session=session)
    assert place.stat().st_size > 20
    assert len(session.fed) < 40


@pytest.mark.parametrize("kind", ["size", "negative", "type", "deep", "pipe"])
def test_a_forged_segment_is_made_again(tmp_path: Path, kind: str) -> None:
    store = SegmentStore(tmp_path / "a.mp4", "job")
    store.save(0, 8, [StoredPacket(0, 0, 1, True, b"abc")])
    (file,) = tmp_path.rglob("*.segment")
    table = {
        "size": "[[0, 0, 1, true, 99999999999]]",
        "negative": "[[0, 0, 1, true, -1], [0, 0, 1, true, 4]]",
        "type": '[["0", 0, 1, true, 3]]',
        "deep": "[" * 99_999,
        "pipe": "",
    }[kind]
    file.write_bytes(b'{"job": "job", "sha256": "", "counts": [0, 0], "packets": %s}\nabc'
                     % table.encode())  # fmt: skip
    if kind == "pipe":
        file.unlink()
        os.mkfifo(file)
    assert SegmentStore(tmp_path / "a.mp4", "job").firsts == []


def test_a_link_in_place_of_the_folder_is_refused(
    tmp_path: Path, source: Path, enlarger: Make
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    resume_folder(tmp_path / "b.mp4").symlink_to(elsewhere)
    with pytest.raises(MediaError, match=r"\.b\.mp4\.vsrc-resume is a link"):
        infer(config(source, tmp_path / "b.mp4"), session=enlarger())
    assert list(elsewhere.iterdir()) == []
