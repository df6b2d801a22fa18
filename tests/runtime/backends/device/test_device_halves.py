"""Features in a ring on a device, judged by whole windows on the CPU.

The device is a stand-in that works as late as it may; see reordering_gpu.py.
"""

from __future__ import annotations

import gc
from pathlib import Path

import numpy as np
import pytest

from support.reordering_gpu import HostEngine, ReorderingGpu
from vsrc.runtime.backends.device.device_halves import DeviceHalves
from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.feature_ring import Halves, RingSession


def opened(package: Path, gpu: ReorderingGpu) -> RingSession:
    found = open_package(package)
    (encode, graph), (fuse, _) = found.graph("encode-fp32"), found.graph("fuse-fp32")
    halves: Halves = DeviceHalves(
        gpu,
        HostEngine(gpu, encode),
        HostEngine(gpu, fuse),
        network=found.spec.network,
        graph=graph,
        label="stand-in fp32",
    )
    return RingSession(halves)


def video(count: int, size: tuple[int, int] = (8, 12)) -> tuple[Pixels, list[tuple[int, ...]]]:
    """Windows `(count, 1, 3, H, W, 3)` of a video with a cut in its middle, and their keys."""
    frames = np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)
    cut, keys = count // 2, []
    for at in range(count):
        first, last = (0, cut - 1) if at < cut else (cut, count - 1)
        keys.append(tuple(min(max(key, first), last) for key in (at - 1, at, at + 1)))
    return frames[np.array(keys)][:, None], keys


def restored(session: RingSession, fed: Pixels, keys: list[tuple[int, ...]]) -> Pixels:
    """One window ahead, in memory that is used again."""
    one, found, waiting = np.empty_like(fed[0]), [], []
    for window, key in zip(fed, keys, strict=True):
        one[...] = window
        waiting.append(session.start(one, [key]))
        if len(waiting) > session.ahead:
            found.append(waiting.pop(0)())
    return np.concatenate(found + [pending() for pending in waiting])


def test_where_nothing_can_be_recorded_halves_are_given_one_by_one(halves_package: Path) -> None:
    fed, keys = video(9)
    whole = open_package(halves_package).session()
    gpu = ReorderingGpu(records_graphs=False)
    session = opened(halves_package, gpu)
    found = restored(session, fed, keys)
    expected = np.concatenate([whole(window) for window in fed]).astype(int)
    assert np.abs(found.astype(int) - expected).max() <= 1
    assert gpu.launches == 0
    session.close()


def test_the_ring_on_the_device_gives_what_whole_windows_give(halves_package: Path) -> None:
    fed, keys = video(45)  # more than there are slots, so the ring moves to its front, too
    whole = open_package(halves_package).session()
    expected = np.concatenate([whole(window) for window in fed]).astype(int)
    for seed in range(4):
        gpu = ReorderingGpu(seed)
        session = opened(halves_package, gpu)
        found = restored(session, fed, keys)
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert gpu.done.count("network") == 45 + 45  # each frame once, each window once
        assert gpu.launches == 44 + 44  # by graphs after the first, one for each place in the ring
        session.close()
        session.close()
        assert (gpu.held_bytes, gpu.handles) == (0, 0)
        with pytest.raises(RuntimeError, match="closed"):
            restored(session, fed, keys)


@pytest.mark.parametrize("call", ["hold", "wait"])
def test_a_wait_that_is_missing_is_noticed(halves_package: Path, call: str) -> None:
    fed, keys = video(12)
    expected = restored(opened(halves_package, ReorderingGpu()), fed, keys)
    wrong = 0
    for seed in range(6):
        session = opened(halves_package, ReorderingGpu(seed, deaf_to=frozenset([call])))
        wrong += not np.array_equal(restored(session, fed, keys), expected)
    assert wrong > 3


def test_features_never_come_to_the_host(halves_package: Path) -> None:
    gpu = ReorderingGpu()
    session = opened(halves_package, gpu)
    fed, keys = video(12)
    restored(session, fed, keys)
    uploads = 2 * 2 * 12  # frame and centre, each by way of a stage
    assert gpu.done.count("copy") == uploads + 2 * 12 + 4  # pictures, and frames repeated at cuts


def test_memory_of_a_size_that_has_passed_is_given_back(halves_package: Path) -> None:
    gpu = ReorderingGpu()
    session = opened(halves_package, gpu)
    for size in ((8, 12), (10, 14), (8, 12)):
        fed, keys = video(4, size)
        restored(session, fed, keys)
        gc.collect()
        held = gpu.held_bytes
    fresh = ReorderingGpu()
    other = opened(halves_package, fresh)
    restored(other, fed, keys)
    assert held == fresh.held_bytes


def test_unknown_frames_are_restored_too(halves_package: Path) -> None:
    session, whole = opened(halves_package, ReorderingGpu()), open_package(halves_package).session()
    fed = video(4)[0][:, 0]
    assert np.abs(session(fed).astype(int) - whole(fed[:1])[0]).shape == (4, 16, 24, 3)
    expected = np.concatenate([whole(window[None]) for window in fed]).astype(int)
    assert np.abs(session(fed) - expected).max() <= 1


def test_memory_that_is_not_there_says_so(halves_package: Path) -> None:
    fed, keys = video(2)
    session = opened(halves_package, ReorderingGpu(room_bytes=10_000))
    with pytest.raises(DeviceMemoryError):
        restored(session, fed, keys)
    session.close()
