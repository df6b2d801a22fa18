"""Several windows at once give what one at a time gives, in order, and fail as one would."""

from __future__ import annotations

import re
import threading
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.backends import lane_trial, parallel_windows
from vsrc.runtime.backends.lane_trial import LanePlan
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.backends.parallel_windows import Lanes, LaneSession
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows import feature_ring
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.lane_choice import LaneChoice, ParallelSession
from vsrc.runtime.windows.session import AsyncSession, Session
from vsrc.runtime.windows.tiles import TiledSession
from vsrc.runtime.windows.upscale import upscale_frames

Pictures = NDArray[np.uint8]


def video(count: int, cuts: tuple[int, ...] = ()) -> list[SourceFrame]:
    frames = np.random.default_rng(0).integers(0, 256, (count, 20, 28, 3), dtype=np.uint8)
    return [SourceFrame(rgb, at, 1, starts_shot=at in cuts) for at, rgb in enumerate(frames)]


def pictures(frames: list[SourceFrame], session: Session, batch: int = 1) -> Pictures:
    results = upscale_frames(iter(frames), session, batch=batch)
    return np.stack([result.rgb for result in results if result.rgb is not None])


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("threads", [2, 5])
def test_lanes_give_what_one_window_at_a_time_gives(
    tiny_package: Path, threads: int, batch: int
) -> None:
    package, frames = open_package(tiny_package), video(23, cuts=(4, 5))
    lanes, one = open_video_session(package, threads=threads), package.session(threads=1)
    assert isinstance(lanes, LaneSession)
    assert isinstance(TiledSession(lanes), AsyncSession)
    expected = pictures(frames, one)
    np.testing.assert_array_equal(pictures(frames, TiledSession(lanes), batch), expected)
    lanes.close()
    lanes.close()


@pytest.mark.parametrize("slack", [1, 32])
def test_lanes_share_a_ring_whose_slots_are_used_again(
    halves_package: Path, slack: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feature_ring, "_SLACK_SLOTS", slack)
    package, frames = open_package(halves_package), video(60, cuts=(1, 2, 30))
    one, lanes = open_video_session(package, threads=1), open_video_session(package, threads=4)
    assert isinstance(lanes, RingSession)
    expected = pictures(frames, one)
    np.testing.assert_array_equal(pictures(frames, TiledSession(lanes)), expected)
    lanes.close()
    one.close()


@pytest.mark.parametrize("halves", [False, True])
def test_the_bytes_are_the_same_whatever_the_trial_tries(
    halves: bool,
    tiny_package: Path,
    halves_package: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(lane_trial, "_SECONDS", 0.0)
    for module in (lane_trial, parallel_windows):
        monkeypatch.setattr(module, "thread_count", lambda threads=0: threads or 6)
    package = open_package(halves_package if halves else tiny_package)
    frames = video(180, cuts=(1, 2, 30))
    one, lanes = open_video_session(package, threads=1), open_video_session(package)
    assert isinstance(lanes, ParallelSession)
    expected = pictures(frames, one)
    assert lanes.lane_choice is not None
    assert lanes.lane_choice.reason == "unfinished"
    np.testing.assert_array_equal(pictures(frames, TiledSession(lanes)), expected)
    choice = lanes.lane_choice
    # Where frames come more slowly than six lanes compute them there is nothing to try.
    assert choice.reason in ("trial", "starved")
    if choice.reason == "trial":
        assert [(rate.lanes, rate.threads) for rate in choice.rates][:2] == [(6, 6), (3, 6)]
    lanes.close()
    one.close()


def test_threads_that_were_asked_for_end_the_trial_before_it_begins(tiny_package: Path) -> None:
    with closing(open_video_session(open_package(tiny_package), threads=6)) as session:
        assert isinstance(session, LaneSession)
        pictures(video(60), session)
        assert session.lane_choice == LaneChoice(6, 6, 6, "option")


def test_windows_are_computed_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=300)  # raises if it is left waiting
    lanes = Lanes(lambda _plan: Hungry(9), threads=2)
    waiting = [lanes.begin(lambda _session: meeting.wait()) for _ in range(2)]
    assert sorted(pending() for pending in waiting) == [0, 1]
    lanes.close()


def test_fewer_lanes_share_the_other_threads() -> None:
    opened: list[int] = []

    def open_session(plan: LanePlan) -> Hungry:
        opened.append(plan.inside)
        return Hungry(9)

    with closing(LaneSession(Lanes(open_session, threads=8))) as session:
        session.fit_lanes((4, 4), 2)
        lr = np.zeros((1, 1, 3, 3, 3), np.uint8)
        np.testing.assert_array_equal(session.start(lr)(), lr[:, 0])
        assert (session.at_once, session.lane_choice.threads) == (2, 8)
    # A lane brings its own thread; those that ONNX Runtime adds are for all of them.
    assert opened == [1, 7]


class Hungry:
    """Copies the centre; has memory for windows so small, and takes its time for them."""

    label = "hungry"
    graph = GraphSpec("none", "", 0, "fp32", "uint8", 18, (1, 9999), (1, 9999), (1, 99))
    network = NetworkSpec("hungry", {}, 1, 1, halo=2, parameters=0, gmac_per_lr_pixel=0)

    def __init__(self, most: int) -> None:
        self.most = most
        self.running = 0

    def __call__(self, lr: Pictures, /) -> Pictures:
        self.running += 1
        time.sleep(0.01)
        self.running -= 1
        if lr.shape[2] * lr.shape[3] > self.most:
            raise DeviceMemoryError("no more memory")
        return lr[:, 0]

    def close(self) -> None:
        pass


def lane_session(session: Session) -> LaneSession:
    return LaneSession(Lanes(lambda _plan: session, threads=3))


def test_memory_that_runs_out_in_several_lanes_halves_tiles_once() -> None:
    frames = video(9)
    with closing(TiledSession(lane_session(Hungry(20 * 14)))) as session:
        np.testing.assert_array_equal(pictures(frames, session), [frame.rgb for frame in frames])
    assert len(session.notes) == 1
    assert re.search(r"\(no more memory\).* 14 pixels", session.notes[0])
    with (
        closing(TiledSession(lane_session(Hungry(10)))) as session,
        pytest.raises(DeviceMemoryError, match="no more memory"),
    ):
        pictures(frames, session)


def test_other_lanes_are_done_when_memory_ran_out() -> None:
    hungry = Hungry(0)
    session = lane_session(hungry)
    lr = np.zeros((1, 1, 4, 4, 3), np.uint8)
    waiting = [session.start(lr) for _ in range(6)]
    with pytest.raises(DeviceMemoryError):
        waiting[0]()
    assert hungry.running == 0
    session.close()
