"""Windows on a device: the order of copies and runs, judged by ONNX Runtime on the same windows.

The device is a stand-in (reordering_gpu.py): host memory, work done as late and in as many orders
as streams and events allow, the network a real graph. On a real device test_trt_session.py runs.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.reordering_gpu import HostEngine, ReorderingGpu
from vsrc.runtime.backends.device.device_session import DeviceSession
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import DeviceMemoryError, MismatchError
from vsrc.runtime.package import open_package
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.windows.session import AsyncSession, PendingPixels
from vsrc.runtime.windows.upscale import upscale_frames

SIZES = ((1, 64), (1, 64))


def opened(
    package: Path,
    gpu: ReorderingGpu,
    *,
    sizes: tuple[tuple[tuple[int, int], tuple[int, int]], ...] = (SIZES,),
    is_capturable: bool = True,
) -> tuple[DeviceSession, list[HostEngine]]:
    path, graph = open_package(package).graph("fp32")
    graphs = [replace(graph, height=height, width=width) for height, width in sizes]
    engines = [HostEngine(gpu, path, is_capturable=is_capturable) for _ in graphs]
    network = open_package(package).spec.network
    pairs = list(zip(engines, graphs, strict=True))
    return DeviceSession(gpu, pairs, network=network, label="stand-in fp32"), engines


def windows(count: int, size: tuple[int, int] = (8, 12), seed: int = 0) -> list[Pixels]:
    rng = np.random.default_rng(seed)
    return list(rng.integers(0, 256, (count, 1, 3, *size, 3), dtype=np.uint8))


def restored_ahead(session: DeviceSession, fed: list[Pixels], ahead: int = 1) -> list[Pixels]:
    """Every window begun before the ones before it are asked for, in memory that is used again."""
    one, found = np.empty_like(fed[0]), []
    waiting: deque[PendingPixels] = deque()
    for window in fed:
        one[...] = window
        waiting.append(session.start(one))
        if len(waiting) > ahead:
            found.append(waiting.popleft()())
    return found + [pending() for pending in waiting]


@pytest.fixture(scope="module")
def expected(tiny_package: Path) -> list[Pixels]:
    session = open_package(tiny_package).session()
    return [session(window) for window in windows(7)]


@pytest.mark.parametrize("ahead", [0, 1, 2, 6])
@pytest.mark.parametrize("is_capturable", [True, False])
def test_any_order_that_the_device_may_take_gives_the_pictures_of_the_cpu(
    tiny_package: Path, expected: list[Pixels], ahead: int, is_capturable: bool
) -> None:
    for seed in range(6):
        gpu = ReorderingGpu(seed)
        session, _ = opened(tiny_package, gpu, is_capturable=is_capturable)
        found = restored_ahead(session, windows(7), ahead)
        np.testing.assert_array_equal(found, expected)
        session.close()
        session.close()
        assert (gpu.held_bytes, gpu.handles) == (0, 0)


@pytest.mark.parametrize("call", ["hold", "wait"])
def test_a_wait_that_is_missing_is_noticed(
    tiny_package: Path, expected: list[Pixels], call: str
) -> None:
    wrong = 0
    for seed in range(10):
        gpu = ReorderingGpu(seed, deaf_to=frozenset([call]))
        session, _ = opened(tiny_package, gpu)
        wrong += not np.array_equal(restored_ahead(session, windows(7)), expected)
    assert wrong > 5


def test_the_next_window_comes_while_the_network_still_works_on_the_last(
    tiny_package: Path, expected: list[Pixels]
) -> None:
    gpu = ReorderingGpu()
    session, _ = opened(tiny_package, gpu)
    first, second = windows(2)
    pending = session.start(first), session.start(second)
    gpu.push()
    # To both stages, and from the first of them to where the network reads.
    assert [name for name in gpu.done if name] == ["copy"] * 3
    np.testing.assert_array_equal([one() for one in pending], expected[:2])
    np.testing.assert_array_equal(pending[0](), expected[0])  # asked for again


def test_runs_are_recorded_once_a_shape(tiny_package: Path, expected: list[Pixels]) -> None:
    gpu = ReorderingGpu()
    session, (engine,) = opened(tiny_package, gpu)
    restored_ahead(session, windows(7))
    assert (engine.runs, gpu.launches) == (7, 6)
    session(windows(1, (10, 14))[0])
    np.testing.assert_array_equal(restored_ahead(session, windows(7)), expected)
    assert (engine.runs, gpu.launches) == (15, 12)  # recorded anew: its memory is elsewhere


def test_where_nothing_can_be_recorded_runs_are_given_one_by_one(
    tiny_package: Path, expected: list[Pixels]
) -> None:
    gpu = ReorderingGpu(records_graphs=False)
    session, (engine,) = opened(tiny_package, gpu)
    np.testing.assert_array_equal(restored_ahead(session, windows(7)), expected)
    assert (engine.runs, gpu.launches) == (7, 0)


@pytest.mark.parametrize("size", [(5, 7), (16, 16), (17, 30), (64, 64)])
def test_the_engine_that_fits_best_takes_frames_of_any_size(
    tiny_package: Path, size: tuple[int, int]
) -> None:
    gpu = ReorderingGpu()
    large, small = ((17, 64), (17, 64)), ((16, 16), (16, 16))
    session, engines = opened(tiny_package, gpu, sizes=(large, small))
    window = windows(1, size)[0]
    found = session(window)
    assert [engine.runs for engine in engines] == ([0, 1] if max(size) <= 16 else [1, 0])
    if min(size) >= 16:  # else what the network sees beyond the edge is not what it pads itself
        reference = open_package(tiny_package).session()
        np.testing.assert_array_equal(found, reference(window))
    assert found.shape == (1, 2 * size[0], 2 * size[1], 3)
    with pytest.raises(MismatchError, match=r"H=65 .*64"):
        session(windows(1, (65, 8))[0])


def test_a_result_outlives_a_change_of_size_and_the_session(
    tiny_package: Path, expected: list[Pixels]
) -> None:
    gpu = ReorderingGpu()
    session, _ = opened(tiny_package, gpu)
    early = session.start(windows(1)[0])
    late = session.start(windows(1, (10, 14))[0])
    session.close()
    np.testing.assert_array_equal(early(), expected[0])
    assert late().shape == (1, 20, 28, 3)
    with pytest.raises(RuntimeError, match="closed"):
        session(windows(1)[0])


@pytest.mark.parametrize("kept", [set(), {0}, {3, 4}, {8}, set(range(9))])
@pytest.mark.parametrize("batch", [1, 3])
def test_frames_that_are_there_already_keep_their_place(
    tiny_package: Path, kept: set[int], batch: int
) -> None:
    rgb = np.random.default_rng(1).integers(0, 256, (9, 8, 12, 3), dtype=np.uint8)
    frames = [SourceFrame(one, at, starts_shot=at == 4) for at, one in enumerate(rgb)]
    whole = open_package(tiny_package).session()
    expected = [one.rgb for one in upscale_frames(frames, whole)]
    session, (engine,) = opened(tiny_package, ReorderingGpu(1))
    found = list(upscale_frames(frames, session, batch=batch, is_kept=kept.__contains__))
    assert [one.pts for one in found] == list(range(9))
    assert {one.pts for one in found if one.is_kept} == kept
    for one, exact in zip(found, expected, strict=True):
        if not one.is_kept:
            np.testing.assert_array_equal(one.rgb, exact)
    if batch == 1:
        assert engine.runs == 9 - len(kept)


def test_memory_that_is_not_there_says_so(tiny_package: Path) -> None:
    session, _ = opened(tiny_package, ReorderingGpu(room_bytes=4000))
    with pytest.raises(DeviceMemoryError):
        session(windows(1)[0])


def test_the_protocol_is_met(tiny_package: Path) -> None:
    session, _ = opened(tiny_package, ReorderingGpu())
    assert isinstance(session, AsyncSession)
