"""Features kept from window to window give what whole windows give, and are found once a frame."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import FeatureSpec, GraphSpec, NetworkSpec
from vsrc.runtime.windows.feature_ring import FeatureMemory, Halves, RingSession
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.upscale import upscale_frames

Pictures = NDArray[np.uint8]


class Memory:
    """Keeps the frames themselves as features; what is fused is their rounded mean."""

    def __init__(self, owner: Mean, slots: int) -> None:
        self.owner = owner
        self.slots: list[NDArray[np.float64] | None] = [None] * slots

    def encode(self, frames: Pictures, slot: int, /) -> None:
        self.owner.encoded.append(int(frames[0, 0, 0, 0]))
        self.slots[slot] = frames.astype(float).sum(0)

    def copy(self, source: int, target: int, count: int, /) -> None:
        self.slots[target : target + count] = self.slots[source : source + count]

    def fuse(self, first: int, centre: Pictures, /) -> Callable[[], Pictures]:
        sr = self.mean(first, centre)
        return lambda: sr

    def mean(self, first: int, centre: Pictures) -> Pictures:
        kept = self.slots[first : first + self.owner.runs]
        window = [one for one in kept if one is not None]
        assert len(window) == self.owner.runs
        mean = np.mean(window, axis=0) / self.owner.graph.encoded_frames
        if self.owner.network.time_scale == 2:
            return np.stack([mean] * (2 * self.owner.network.window - 1))[None].astype(np.uint8)
        return np.asarray((mean + centre)[None] / 2, dtype=np.uint8)


class Mean:
    label = "mean"
    ahead, at_once = 0, 1
    lane_choice, most_lanes = None, 0

    def __init__(
        self, window: int, frames: int = 1, time_scale: int = 1, channels: int = 1
    ) -> None:
        self.network = NetworkSpec(
            "mean", {}, 1, window, halo=0, parameters=0, gmac_per_lr_pixel=0, time_scale=time_scale
        )
        self.graph = GraphSpec(
            "none", "", 0, "fp32", "uint8", 18, (1, 99), (1, 99), (1, 9), "encode", frames,
            (FeatureSpec("feature1", channels, 1),),
        )  # fmt: skip
        self.runs = window - frames + 1
        self.encoded: list[int] = []

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        pass

    def memory(self, slots: int, height: int, width: int) -> FeatureMemory:
        del height, width
        return Memory(self, slots)

    def close(self) -> None:
        pass


class Unkeyed:
    """A session that knows nothing of frames."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.label, self.network, self.graph = session.label, session.network, session.graph

    def __call__(self, lr: Pictures, /) -> Pictures:
        return self._session(lr)

    def close(self) -> None:
        self._session.close()


def video(
    count: int, cuts: tuple[int, ...] = (), size: tuple[int, int] = (4, 6)
) -> list[SourceFrame]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, *size, 3), dtype=np.uint8)
    frames[:, 0, 0, 0] = np.arange(count) % 256  # tells which frame was encoded
    return [SourceFrame(rgb, at, 1, starts_shot=at in cuts) for at, rgb in enumerate(frames)]


def pictures(frames: list[SourceFrame], session: Session, batch: int = 1) -> Pictures:
    results = upscale_frames(iter(frames), session, batch=batch)
    return np.stack([result.rgb for result in results if result.rgb is not None])


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("cuts", [(), (1,), (3, 4, 9), (20,)])
@pytest.mark.parametrize(
    "make",
    [
        lambda: Mean(1),
        lambda: Mean(5),
        lambda: Mean(5, frames=3),
        lambda: Mean(3, time_scale=2),
        lambda: Mean(7, channels=1 << 20),  # features so large that one slot of slack is left
    ],
)
def test_the_ring_gives_what_whole_windows_give(
    make: Callable[[], Mean], cuts: tuple[int, ...], batch: int
) -> None:
    frames = video(40, cuts)
    halves = make()
    found = pictures(frames, RingSession(halves), batch=batch)
    expected = pictures(frames, Unkeyed(RingSession(make())))
    np.testing.assert_array_equal(found, expected)
    if halves.graph.encoded_frames == 1:
        assert sorted(halves.encoded) == list(range(40))  # each frame once
    else:
        repeats = 2 * (len(cuts) + 1) * 2  # runs with a repeated frame, at both ends of each shot
        assert len(halves.encoded) <= 40 + repeats


def test_parts_of_the_picture_have_rings_of_their_own() -> None:
    session = RingSession(Mean(3))
    lr = np.stack([frame.rgb for frame in video(3)])[None]
    left = session.keyed(lr, [(0, 1, 2)], place="left")
    right = session.keyed(255 - lr, [(0, 1, 2)], place="right")
    assert np.abs(left.astype(int) + right - 255).max() <= 1


@pytest.mark.parametrize("size", [(16, 24), (7, 9)])
def test_onnx_runtime_gives_through_the_ring_what_the_whole_graph_gives(
    halves_package: Path, size: tuple[int, int]
) -> None:
    package = open_package(halves_package)
    ring, whole = open_video_session(package), package.session()
    assert isinstance(ring, RingSession)
    frames = video(45, cuts=(2, 30), size=size)
    found, expected = pictures(frames, ring), pictures(frames, whole)
    assert np.abs(found.astype(int) - expected).max() <= 1
    ring.close()
    with pytest.raises(RuntimeError, match="closed"):
        pictures(frames, ring)


def test_a_package_without_halves_is_fed_windows(tiny_package: Path) -> None:
    session = open_video_session(open_package(tiny_package))
    assert not isinstance(session, RingSession)
    session.close()


def test_the_protocol_is_met() -> None:
    halves: Halves = Mean(3)
    session: Session = RingSession(halves)
    assert session.network.window == 3
