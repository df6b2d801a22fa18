"""A state is carried over the frames of a shot, in tiles or not, and starts over at a cut."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from support.recurrence import RecurrentSteps, recurrence, slow_recurrence
from vsrc.runtime.decode.frame import ResultFrame, SourceFrame
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.windows.guard import Guard
from vsrc.runtime.windows.session import AsyncSession, FrameCachingSession, PendingPixels
from vsrc.runtime.windows.state_session import CarriedState, StateSession
from vsrc.runtime.windows.upscale import upscale_frames

Frames = NDArray[np.uint8]


@pytest.fixture
def frames() -> Frames:
    return np.random.default_rng(0).integers(0, 256, (9, 22, 30, 3), dtype=np.uint8)


def pictures(frames: Frames, session: StateSession, cuts: tuple[int, ...] = ()) -> Frames:
    sources = (SourceFrame(rgb, pts=at, starts_shot=at in cuts) for at, rgb in enumerate(frames))
    return stacked(upscale_frames(sources, session))


def stacked(results: Iterable[ResultFrame]) -> Frames:
    return np.stack([np.asarray(result.rgb, np.uint8) for result in results])


@pytest.mark.parametrize("window", [1, 2, 3, 4])
def test_a_video_is_what_the_loop_gives_and_cuts_begin_anew(frames: Frames, window: int) -> None:
    session = recurrence(window)
    assert isinstance(session, AsyncSession)
    assert isinstance(session, FrameCachingSession)
    for cuts in ((), (0, 4, 5)):  # a second video on the same session begins anew, too
        expected = slow_recurrence(frames, cuts)
        np.testing.assert_array_equal(pictures(frames, session, cuts), expected)


@pytest.mark.parametrize("tile", [10, 14, 22, 64])
def test_tiles_give_what_whole_frames_give(frames: Frames, tile: int) -> None:
    session = recurrence().tiled(tile)
    np.testing.assert_array_equal(pictures(frames, session), slow_recurrence(frames))


def test_a_frame_of_odd_size_is_padded(frames: Frames) -> None:
    odd = frames[:, :21, :29]
    padded = np.pad(odd, ((0, 0), (0, 1), (0, 1), (0, 0)), mode="reflect")
    for tile in (0, 12):
        found = pictures(odd, recurrence().tiled(tile))
        np.testing.assert_array_equal(found, slow_recurrence(padded)[:, :42, :58])


def test_tiles_take_over_within_a_shot_when_memory_runs_out(frames: Frames) -> None:
    steps = RecurrentSteps()
    session = StateSession(steps)
    found = []
    for at, frame in enumerate(frames):
        if at == 4:
            steps.most_pixels = 22 * 30 - 1
        found.append(session.start(frame[None, None])()[0])
    np.testing.assert_array_equal(np.stack(found), slow_recurrence(frames))
    assert session.tile == 15
    assert len(session.notes) == 1


def test_a_state_continues_in_another_session(frames: Frames) -> None:
    first, second = recurrence(), recurrence().tiled(12)
    for frame in frames[:5]:
        first.start(frame[None, None])()
    second.resume(first.state())
    found = np.stack([second.start(frame[None, None])()[0] for frame in frames[5:]])
    np.testing.assert_array_equal(found, slow_recurrence(frames)[5:])
    second.forget()
    assert second.state() is None


def test_single_windows_have_a_state_of_zeros_each(frames: Frames) -> None:
    found = recurrence()(frames[:, None])
    np.testing.assert_array_equal(found, slow_recurrence(frames, cuts=range(len(frames))))


def test_a_batch_within_a_clip_is_refused(frames: Frames) -> None:
    sources = [SourceFrame(rgb, pts=at) for at, rgb in enumerate(frames)]
    with pytest.raises(MismatchError, match="--batch 1"):
        list(upscale_frames(sources, recurrence(), batch=2))
    with pytest.raises(MismatchError, match="--batch 1"):
        recurrence().start(frames[:2, None])


class Corrupting(RecurrentSteps):
    """Loses one frame, and the state with it, as reduced precision does."""

    def step(self, lr: Frames, state: CarriedState | None, /) -> tuple[PendingPixels, CarriedState]:
        pending, after = super().step(lr, state)
        if self.steps != 4:
            return pending, after
        black = np.zeros_like(pending())
        after.arrays()["memory"][:] = np.nan
        return lambda: black, after


def test_a_corrupted_frame_is_recomputed_with_its_state(frames: Frames) -> None:
    frames = np.maximum(frames, 120)
    guard = Guard(recurrence)
    sources = [SourceFrame(rgb, pts=at) for at, rgb in enumerate(frames)]
    results = list(upscale_frames(sources, StateSession(Corrupting()), guard=guard))
    assert [result.is_recomputed for result in results] == [at == 3 for at in range(len(frames))]
    found = stacked(results)
    np.testing.assert_array_equal(found, slow_recurrence(frames))


def test_frames_before_the_first_wanted_prepare_its_state(frames: Frames) -> None:
    sources = [SourceFrame(rgb, pts=at, wanted=3 <= at < 6) for at, rgb in enumerate(frames)]
    steps = RecurrentSteps()
    results = [r for r in upscale_frames(sources, StateSession(steps)) if r.counts]
    found = stacked(results)
    np.testing.assert_array_equal(found, slow_recurrence(frames)[3:6])
    assert steps.steps == 6  # and those after the last are not computed
