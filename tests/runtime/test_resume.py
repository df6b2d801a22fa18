"""A job that was stopped, wherever and however, gives the bytes of one that was not."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime import segmented
from vsrc.runtime.errors import MismatchError, StoppedError
from vsrc.runtime.infer_config import InferConfig
from vsrc.runtime.infer_result import InferProgress, InferResult
from vsrc.runtime.inference import infer
from vsrc.runtime.segmented import frames_per_segment
from vsrc.runtime.segments import SegmentStore, StoredPacket, fingerprint

Make = Callable[..., Any]

JOB = fingerprint(["a job"])


def some_packets(seed: int) -> list[StoredPacket]:
    rng = np.random.default_rng(seed)
    return [
        StoredPacket(at, at - 2, 1, at == 0, rng.bytes(int(rng.integers(0, 50)))) for at in range(5)
    ]


def test_segments_come_back_as_they_were(tmp_path: Path) -> None:
    store = SegmentStore(tmp_path / "a.mp4", JOB)
    assert list(tmp_path.iterdir()) == []  # nothing until there is something to keep
    for seed in (2, 0, 1):  # several processes may add to it, in any order
        store.save(8 * seed, 8 * seed + 8, some_packets(seed))
    again = SegmentStore(tmp_path / "a.mp4", JOB)
    assert again.frames == 24
    assert [again.at(8 * seed) for seed in range(3)] == [store.at(8 * seed) for seed in range(3)]
    assert [again.load(8 * seed) for seed in range(3)] == [some_packets(seed) for seed in range(3)]
    assert [again.covers(frame) for frame in (-1, 0, 7, 8, 23, 24)] == [False, *[True] * 4, False]
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_segments_of_another_job_are_forgotten(tmp_path: Path) -> None:
    SegmentStore(tmp_path / "a.mp4", JOB).save(0, 8, some_packets(0))
    other = fingerprint(["another job"])
    with pytest.raises(MismatchError, match="holds parts of another job"):
        SegmentStore(tmp_path / "a.mp4", other, shared=True)  # which may be at work
    assert SegmentStore(tmp_path / "a.mp4", other).frames == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["bit", "end", "gone"])
def test_only_segments_that_are_whole_count(tmp_path: Path, how: str) -> None:
    store = SegmentStore(tmp_path / "a.mp4", JOB)
    for seed in range(4):
        store.save(8 * seed, 8 * seed + 8, some_packets(seed))
    (file,) = tmp_path.rglob("00000016-00000024.segment")
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "end":
        file.write_bytes(data[:-1])
    else:
        for place in np.random.default_rng(0).integers(0, len(data), 20):
            data[place] ^= 4
            file.write_bytes(data)
            assert SegmentStore(tmp_path / "a.mp4", JOB).firsts == [0, 8, 24]
            data[place] ^= 4
    assert SegmentStore(tmp_path / "a.mp4", JOB).firsts == [0, 8, 24]


def test_parts_are_short_enough_for_a_muxer_to_sort() -> None:
    assert frames_per_segment("libx264", width=1280, height=720, rate=Fraction(25)) == 120
    assert frames_per_segment("libx264", width=1280, height=720, rate=Fraction(5)) == 40
    assert frames_per_segment("libx264", width=1280, height=720, rate=Fraction(1, 10)) == 8
    assert frames_per_segment("ffv1", width=3840, height=2160, rate=Fraction(60)) == 16


class StoppedAt:
    """A session in whose n-th call somebody presses Ctrl+C."""

    def __init__(self, session: Any, call: int) -> None:  # noqa: ANN401
        self._session, self._left = session, call
        self.label, self.network, self.graph = session.label, session.network, session.graph

    def __call__(self, lr: NDArray[np.uint8], /) -> NDArray[np.uint8]:
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        time.sleep(0.001)  # so that the encoder is not always far behind
        return np.asarray(self._session(lr))

    def close(self) -> None:
        pass


def result_of(config: InferConfig, session: Any) -> tuple[InferResult, list[str]]:  # noqa: ANN401
    notes: list[str] = []

    def note(now: InferProgress) -> None:
        notes.extend(now.notes if now.done == 0 else ())

    return infer(config, session=session, progress=note), notes


@pytest.mark.parametrize(
    ("suffix", "codec", "time_scale", "start"),
    [
        ("mp4", "x264", 1, 0.0),
        ("mkv", "x265", 1, 0.3),
        ("mkv", "x264", 2, 0.0),
        ("mov", "prores", 1, 0.0),
        ("ts", "x264", 1, 0.0),
    ],
)
def test_whoever_stops_it_the_bytes_are_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_clip: Make,
    moving: Make,
    enlarger: Make,
    suffix: str,
    codec: str,
    time_scale: int,
    start: float,
) -> None:
    monkeypatch.setattr(segmented, "_FRAMES", 8)
    stamps = np.cumsum(np.random.default_rng(0).integers(30, 70, 60))
    source = write_clip(
        tmp_path / "a.mkv", moving(60), pts=stamps.tolist(), time_base=Fraction(1, 1000), sound=True
    )

    def config(name: str) -> InferConfig:
        return InferConfig((source,), tmp_path / f"{name}.{suffix}", codec=codec, start=start)

    session = enlarger(time_scale=time_scale)
    whole, _ = result_of(config("whole"), session)
    calls = len(session.fed)
    rng = np.random.default_rng(1)
    went_on = 0
    for run in range(4):  # 20 stops over the five kinds of output
        stop = int(rng.integers(1, calls))
        with pytest.raises(StoppedError, match="interrupted"):
            infer(config(f"{run}"), session=StoppedAt(session, stop))
        result, notes = result_of(config(f"{run}"), session)
        went_on += any("goes on behind the" in note for note in notes)
        assert result.files[0].frames == whole.files[0].frames
        assert (tmp_path / f"{run}.{suffix}").read_bytes() == (
            tmp_path / f"whole.{suffix}"
        ).read_bytes()
    assert went_on
    assert not list(tmp_path.glob(".*"))
    with av.open(str(tmp_path / f"whole.{suffix}")) as container:
        dts = [packet.dts for packet in container.demux(video=0) if packet.dts is not None]
        assert dts == sorted(set(dts))
        assert container.streams.video[0].frames in (0, whole.files[0].frames)


def test_another_option_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, enlarger: Make
) -> None:
    monkeypatch.setattr(segmented, "_FRAMES", 8)
    config = InferConfig((clip,), tmp_path / "a.mp4", crf=30)
    with pytest.raises(StoppedError, match="interrupted"):
        infer(config, session=StoppedAt(enlarger(), 23))
    other = InferConfig((clip,), tmp_path / "a.mp4", crf=31)
    _, notes = result_of(other, enlarger())
    assert notes == []
    assert not list(tmp_path.glob(".*"))


def test_a_process_that_is_killed_twice_leaves_the_same_bytes(
    tmp_path: Path, write_clip: Make, moving: Make, tiny_package: Path
) -> None:
    source = write_clip(
        tmp_path / "a.mp4", moving(290, 32, 32), sound=True, options={"preset": "ultrafast"}
    )
    code = "from vsrc.cli import main; main()"

    def start(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", code, "infer", str(source), "-m", str(tiny_package)]
        command += ["-o", str(tmp_path / name), "--preset", "ultrafast"]
        return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)

    went_on = 0
    for kill in (1, 2):
        process = start("killed.mp4")
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(tmp_path.glob(".killed.mp4.vsrc-resume/*.segment"))) >= kill:
                break
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        _, said = process.communicate()
        went_on += "goes on behind the" in said
    assert went_on == 1
    for name in ("killed.mp4", "whole.mp4"):
        process = start(name)
        process.communicate(timeout=120)
        assert process.returncode == 0
    assert (tmp_path / "killed.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()
    assert not list(tmp_path.glob(".*resume"))
