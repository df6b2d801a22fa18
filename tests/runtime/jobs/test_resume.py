"""A job that was stopped, wherever and however, gives the bytes of one that was not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.places import TESTS
from vsrc.runtime.encode import picture_writer, segment_encoder
from vsrc.runtime.encode.segment_encoder import frames_per_segment
from vsrc.runtime.encode.segments import SegmentStore, StoredPacket, fingerprint
from vsrc.runtime.errors import MediaError, StoppedError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress, InferResult

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
    assert again.kept.frames == 24
    assert [again.at(8 * seed) for seed in range(3)] == [store.at(8 * seed) for seed in range(3)]
    assert [again.load(8 * seed) for seed in range(3)] == [some_packets(seed) for seed in range(3)]
    assert [again.covers(frame) for frame in (-1, 0, 7, 8, 23, 24)] == [False, *[True] * 4, False]
    again.remove()
    assert list(tmp_path.iterdir()) == []


def test_segments_of_another_job_are_forgotten(tmp_path: Path) -> None:
    SegmentStore(tmp_path / "a.mp4", JOB).save(0, 8, some_packets(0))
    other = fingerprint(["another job"])
    with pytest.raises(MediaError, match=r"\.a\.mp4\.vsrc-resume"):
        SegmentStore(tmp_path / "a.mp4", other, shared=True)  # which may be at work
    assert SegmentStore(tmp_path / "a.mp4", other).kept.frames == 0
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


@pytest.mark.parametrize("name", ["00000000-00000008.segment", "00000008.state", "pictures/02.png"])
def test_a_link_where_an_interrupted_run_saves_is_not_followed(tmp_path: Path, name: str) -> None:
    output, foreign = tmp_path / "a.mp4", tmp_path / "foreign"
    foreign.write_text("foreign")
    SegmentStore(output, JOB).save(16, 24, some_packets(2))
    (folder,) = tmp_path.glob(".a.mp4.*resume")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).symlink_to(foreign)
    store = SegmentStore(output, JOB)
    assert store.firsts == []
    store.save(0, 8, some_packets(0))
    assert foreign.read_text() == "foreign"
    assert not any(path.is_symlink() for path in folder.rglob("*"))


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
        return np.asarray(self._session(lr))

    def close(self) -> None:
        pass


def result_of(config: InferConfig, session: Any) -> tuple[InferResult, list[str]]:  # noqa: ANN401
    notes: list[str] = []

    def note(now: InferProgress) -> None:
        notes.extend(now.notes if now.done == 0 else ())

    return infer(config, session=session, progress=note), notes


QUICK = {"x264": "ultrafast", "x265": "ultrafast", "av1": "12"}


@pytest.mark.parametrize(
    ("name", "codec", "time_scale", "start"),
    [
        ("a.mp4", "x264", 1, 0.0),
        ("a.mkv", "x265", 1, 0.3),
        ("a.mkv", "x264", 2, 0.0),
        ("a.mov", "prores", 1, 0.0),
        ("a.ts", "x264", 1, 0.0),
        ("a.mkv", "ffv1", 1, 0.0),
        ("a.mp4", "av1", 1, 0.0),
        ("a.webm", "vp9", 1, 0.0),
        ("%03d.png", "x264", 1, 0.0),
        ("%03d.png", "x264", 2, 0.3),
    ],
)
def test_whoever_stops_it_the_bytes_are_the_same(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_clip: Make,
    moving: Make,
    enlarger: Make,
    name: str,
    codec: str,
    time_scale: int,
    start: float,
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    monkeypatch.setattr(picture_writer, "_SEGMENT_FRAMES", 8)
    stamps = np.cumsum(np.random.default_rng(0).integers(30, 70, 40))
    sound = not name.endswith(".webm")  # which has no room for AAC
    source = write_clip(
        tmp_path / "a.mkv",
        moving(40),
        pts=stamps.tolist(),
        time_base=Fraction(1, 1000),
        sound=sound,
    )

    def config(folder: str) -> InferConfig:
        output = tmp_path / folder / name
        return InferConfig((source,), output, codec=codec, start=start, preset=QUICK.get(codec))

    def bytes_of(folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    session = enlarger(time_scale=time_scale)
    whole, _ = result_of(config("whole"), session)
    calls = len(session.fed)
    rng = np.random.default_rng(1)
    went_on = 0
    for run in ("first", "second"):  # 20 stops over the kinds of output
        stop = int(rng.integers(calls // 2, calls))
        with pytest.raises(StoppedError, match="interrupted"):
            infer(config(run), session=StoppedAt(session, stop))
        session.fed.clear()
        result, notes = result_of(config(run), session)
        went_on += any("resumes after the" in note for note in notes)
        assert len(session.fed) <= calls
        assert result.files[0].frames == whole.files[0].frames
        assert bytes_of(run) == bytes_of("whole")
    assert went_on
    assert not list(tmp_path.rglob(".*"))
    if not name.endswith(".png"):
        check_times(tmp_path / "whole" / name, whole.files[0].frames)


def check_times(path: Path, frames: int) -> None:
    with av.open(str(path)) as container:
        dts = [packet.dts for packet in container.demux(video=0) if packet.dts is not None]
        assert dts == sorted(set(dts))
        assert container.streams.video[0].frames in (0, frames)


def test_a_picture_that_is_not_as_it_was_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, enlarger: Make
) -> None:
    monkeypatch.setattr(picture_writer, "_SEGMENT_FRAMES", 4)
    config = InferConfig((clip,), tmp_path / "out" / "%02d.png")
    with pytest.raises(StoppedError, match=r"(4|8|12) frames") as stopped:
        infer(config, session=StoppedAt(enlarger(), 15))
    kept = int(str(stopped.value).split()[1])  # how far the encoder came depends on the machine
    truncated = tmp_path / ".out.vsrc-resume" / "pictures" / "02.png"
    whole = truncated.read_bytes()
    truncated.write_bytes(whole[:-1])
    session = enlarger()
    infer(config, session=session)
    assert len(session.fed) == 24 - (kept - 4)  # one of the parts that were there is not whole
    assert (tmp_path / "out" / "02.png").read_bytes() == whole
    assert len(list(tmp_path.rglob("*.png"))) == 24
    assert not list(tmp_path.glob(".*"))


def test_kept_frames_do_not_count_as_pace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, enlarger: Make
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    config = InferConfig((clip,), tmp_path / "a.mp4", preset="ultrafast")
    with pytest.raises(StoppedError, match="interrupted"):
        infer(config, session=StoppedAt(enlarger(), 23))
    seen: list[InferProgress] = []
    result = infer(config, session=enlarger(), progress=seen.append).files[0]
    assert 0 < result.kept_frames < 24
    # No pace, and so no ETA, until a frame was upscaled by this run.
    early = [now.fps for now in seen if now.done <= result.kept_frames]
    assert early == [None] * (result.kept_frames + 1)
    assert all(now.fps for now in seen if now.done > result.kept_frames)
    assert seen[-1].eta_seconds == 0
    assert result.fps == pytest.approx((24 - result.kept_frames) / result.seconds, rel=0.01)
    assert f"{24 - result.kept_frames} of them upscaled now" in result.line


def test_another_option_begins_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clip: Path, enlarger: Make
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    config = InferConfig((clip,), tmp_path / "a.mp4", crf=30)
    with pytest.raises(StoppedError, match="interrupted"):
        infer(config, session=StoppedAt(enlarger(), 23))
    other = InferConfig((clip,), tmp_path / "a.mp4", crf=31)
    _, notes = result_of(other, enlarger())
    assert notes == []
    assert not list(tmp_path.glob(".*"))


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[3])
from support.enlarger import Enlarger
from vsrc.runtime.encode import segment_encoder
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

def start(name):
    pid = os.fork()  # no thread runs in this process, so that a fork is all a run needs
    if not pid:
        infer(InferConfig((source,), folder / name, preset="ultrafast"), session=Enlarger())
        os._exit(0)
    return pid

def files():
    return {os.path.join(place, name) for place, _, names in os.walk(folder) for name in names}

def wait_for_changes(pid, count):
    seen = files()
    while count and not os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        now = files()
        count, seen = count - (now != seen), now
        time.sleep(0.001)  # between two looks, so that the run gets the core

segment_encoder._FRAMES = 8
source, folder = Path(sys.argv[1]), Path(sys.argv[2])
os.waitpid(start("whole.mp4"), 0)
expected = (folder / "whole.mp4").read_bytes()
random.seed(0)
killed = went_on = 0
while True:
    went_on += any(folder.glob(".killed.mp4.vsrc-resume/*.segment"))
    pid = start("killed.mp4")
    if killed < 20:
        wait_for_changes(pid, random.randrange(20))  # files that come, go or change their names
        os.kill(pid, signal.SIGKILL)
    status = os.waitpid(pid, 0)[1]
    killed += os.WIFSIGNALED(status)
    assert os.WIFSIGNALED(status) or status == 0
    if (folder / "killed.mp4").exists():  # whole, even if it was killed while it tidied up
        assert (folder / "killed.mp4").read_bytes() == expected
        (folder / "killed.mp4").unlink()
        if killed == 20 and status == 0:
            break
assert not list(folder.glob(".*resume"))
print(killed, went_on)
"""


def test_a_process_that_is_killed_at_random_leaves_the_same_bytes(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    options = {"preset": "ultrafast"}
    source = write_clip(tmp_path / "a.mp4", moving(96, 32, 32), sound=True, options=options)
    command = [sys.executable, "-c", KILLER, str(source), str(tmp_path), str(TESTS)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    killed, went_on = map(int, done.stdout.split())
    assert killed == 20
    assert went_on >= 5  # most runs found parts of the one before
