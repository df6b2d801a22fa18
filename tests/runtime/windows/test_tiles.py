"""Tiles make the whole: every pixel once, the same pictures; smaller ones if memory runs out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from support.optional import skip_without
from vsrc.runtime import memory
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.windows import tile_size
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.tile_size import check_tile, choose_tile, fit_tile, good_tile, tiling_cost
from vsrc.runtime.windows.tiles import TiledSession, spans
from vsrc.runtime.windows.upscale import upscale_frames

Pictures = NDArray[np.uint8]
Make = Callable[..., Any]

ANY = GraphSpec("none", "", 0, "fp32", "uint8", 18, (1, 9999), (1, 9999), (1, 99))


@given(
    blocks=st.integers(1, 60),
    multiple=st.sampled_from([1, 2, 4]),
    tile=st.integers(1, 80),
    halo=st.integers(0, 12),
)
def test_every_pixel_is_kept_once_with_its_halo(
    blocks: int, multiple: int, tile: int, halo: int
) -> None:
    size = blocks * multiple
    rounded = tile // multiple * multiple
    if rounded < size and rounded - 2 * -(-halo // multiple) * multiple < multiple:
        with pytest.raises(ValueError, match=r"tile=\d+ .*\d+ LR"):
            spans(size, tile=tile, halo=halo, multiple=multiple)
        return
    plan = spans(size, tile=tile, halo=halo, multiple=multiple)
    kept = [pixel for span in plan for pixel in range(span.keep_start, span.keep_stop)]
    assert kept == list(range(size))
    for span in plan:
        assert span.start % multiple == 0
        assert span.stop - span.start <= max(tile, min(size, tile))
        assert span.start == 0 or span.keep_start - span.start >= halo
        assert span.stop == size or span.stop - span.keep_stop >= halo
    assert len({span.stop - span.start for span in plan}) == 1  # one shape for the backend


class TorchSession:
    """A network as it is, without a graph."""

    def __init__(self, name: str, **arguments: float) -> None:
        import torch

        from vsrc.compressor.features.taps import spec_of
        from vsrc.compressor.networks.table import create

        torch.manual_seed(0)
        self._network = create(name, **arguments).eval()
        self.network, self.graph, self.label = spec_of(self._network), ANY, name

    def __call__(self, lr: Pictures, /) -> Pictures:
        import torch

        frames = torch.from_numpy(lr).movedim(-1, -3) / 255
        with torch.no_grad():
            sr = self._network(frames[:, 0] if self.network.window == 1 else frames)
        return np.asarray((sr * 255).clamp(0, 255).round().byte().movedim(-3, -1))

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("edge-s", {"scale": 3}),
        ("fsrcnn", {"scale": 2}),
        ("vsrnet", {"scale": 2}),
        ("fastdvdnet", {"scale": 2}),
    ],
)
def test_tiles_give_what_the_whole_picture_gives(name: str, arguments: dict[str, Any]) -> None:
    skip_without("torch")
    session = TorchSession(name, **arguments)
    network = session.network
    assert network.halo_is_exact
    multiple = network.size_multiple
    side = 2 * -(-network.halo // multiple) * multiple + 2 * multiple
    high, wide, thin = side + multiple, side + 2 * multiple + 1, 4 * multiple
    # A field of 150 pixels is tried along one axis at a time, which costs a twentieth.
    sizes = [(high, wide)] if network.halo < 32 else [(high, thin), (thin, wide)]
    for height, width in sizes:
        shape = (1, network.window, height, width, 3)
        lr = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        padded = np.pad(
            lr, ((0, 0), (0, 0), (0, -height % multiple), (0, -width % multiple), (0, 0)), "reflect"
        )
        whole = session(padded)[:, : height * network.scale, : width * network.scale]
        tiled = TiledSession(session, tile=side)(lr)
        assert tiled.shape == whole.shape
        assert np.abs(tiled.astype(int) - whole).max() <= 1  # sums in another order


def video(count: int, height: int, width: int) -> list[SourceFrame]:
    frames = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return [SourceFrame(rgb, at, 1, starts_shot=at == 5) for at, rgb in enumerate(frames)]


def pictures(frames: list[SourceFrame], session: Session, batch: int = 1) -> Pictures:
    results = upscale_frames(iter(frames), session, batch=batch)
    return np.stack([result.rgb for result in results if result.rgb is not None])


@pytest.mark.parametrize("batch", [1, 3])
def test_tiles_of_graphs_keep_rings_of_their_own(tiny_package: Path, batch: int) -> None:
    frames = video(9, 37, 50)
    session = open_video_session(open_package(tiny_package))
    found = pictures(frames, TiledSession(session, tile=24), batch)
    expected = pictures(frames, session)
    assert np.abs(found.astype(int) - expected).max() <= 1
    session.close()


class Hungry:
    """Copies the centre, unless it is asked for more pixels than it has memory for."""

    label, graph = "hungry", ANY
    network = NetworkSpec("hungry", {}, 1, 1, halo=2, parameters=0, gmac_per_lr_pixel=0)

    def __init__(self, most: int) -> None:
        self.most = most

    def __call__(self, lr: Pictures, /) -> Pictures:
        if lr.shape[2] * lr.shape[3] > self.most:
            raise DeviceMemoryError("no more memory")
        return lr[:, 0]

    def close(self) -> None:
        pass


@pytest.mark.parametrize("tile", [0, 64])
def test_when_memory_runs_out_tiles_are_halved_once_and_it_is_said(tile: int) -> None:
    lr = np.random.default_rng(0).integers(0, 256, (1, 1, 40, 64, 3), dtype=np.uint8)
    session = TiledSession(Hungry(40 * 40), tile=tile)
    for _ in range(2):
        np.testing.assert_array_equal(session(lr), lr[:, 0])
    assert len(session.notes) == 1
    assert re.search(r"\(no more memory\).* 32 pixels", session.notes[0])
    with pytest.raises(DeviceMemoryError, match="no more memory"):
        TiledSession(Hungry(10), tile=tile)(lr)


def test_a_tile_that_is_nothing_but_overlap_is_refused(
    tmp_path: Path, clip: Path, tiny_package: Path
) -> None:
    network = open_package(tiny_package).spec.network
    check_tile(2 * network.halo + 1, network)
    config = InferConfig((clip,), tmp_path / "a.mp4", model=tiny_package, tile=2 * network.halo)
    with pytest.raises(ValueError, match=f"tile={2 * network.halo} .*{2 * network.halo} LR"):
        infer(config)
    assert list(tmp_path.iterdir()) == []


def test_a_video_in_tiles_is_the_video(tmp_path: Path, clip: Path, tiny_package: Path) -> None:
    for tile in (0, 20):
        output = tmp_path / f"{tile}/%02d.png"
        infer(InferConfig((clip,), output, model=tiny_package, tile=tile, frames=3))
    from vsrc.runtime.decode.clips.clip_frames import read_picture

    for index in range(3):
        whole, tiled = (read_picture(tmp_path / f"{tile}/{index:02d}.png") for tile in (0, 20))
        assert np.abs(whole.astype(int) - tiled).max() <= 1


def test_a_network_that_sees_everything_is_named_when_it_is_fed_in_tiles(
    tmp_path: Path, clip: Path, enlarger: Make
) -> None:
    session = enlarger()
    seen: list[str] = []
    session.network = replace(session.network, halo_is_exact=False)

    def note(now: InferProgress) -> None:
        seen.extend(now.notes if now.done == 0 else ())

    for tile in (16, 0):
        output = tmp_path / f"{tile}.mp4"
        infer(InferConfig((clip,), output, tile=tile, frames=1), session=session, progress=note)
    (line,) = seen
    assert line.startswith("enlarger ")


def test_small_frames_are_never_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_size, "free_bytes", lambda: 1)
    assert choose_tile(Hungry(0), height=480, width=640, batch=1).tile == 0


@pytest.mark.parametrize(("free_gb", "fits"), [(10, True), (3.5, True), (3, False), (1, False)])
def test_large_frames_are_fed_in_what_memory_allows(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, fits: bool
) -> None:
    session = Hungry(1 << 30)
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 1000)[1])
    monkeypatch.setattr(tile_size, "free_bytes", lambda: int(free_gb * 1e9))
    choice = choose_tile(session, height=1080, width=1920, batch=1)
    assert (choice.tile == 0) is fits
    if not fits:
        assert min(choice.tile, 1080) * min(choice.tile, 1920) * 1000 <= 0.85 * free_gb * 1e9
        assert choice.tile >= 450
        assert f"the {free_gb:.1f} GB that are free" in choice.note


class Wide(Hungry):
    """A session that would like eight windows in parallel, and notes what it is allowed."""

    ahead, at_once, most_lanes, lane_choice = 8, 8, 8, None

    def __init__(self) -> None:
        super().__init__(1 << 30)
        self.allowed = 0

    def fit_lanes(self, size: tuple[int, int], most: int) -> None:
        assert size == (1080, 1920)
        self.allowed = most

    def start(
        self, lr: Pictures, keys: object = None, *, place: object = 0
    ) -> Callable[[], Pictures]:
        raise AssertionError(f"memory is measured alone, not with {lr.shape}, {keys}, {place}")


@pytest.mark.parametrize(
    ("free_gb", "tile", "lanes", "is_whole"),
    [
        (40, None, 8, True),
        (20, None, 5, True),  # fewer windows rather than tiles
        (5, None, 1, True),
        (1, None, 1, False),
        (2, 256, 8, False),  # of tiles as asked for there is room for eight
        (2, 1024, 1, False),
        (20, 0, 5, True),
    ],
)
def test_as_many_windows_run_in_parallel_as_memory_allows(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, tile: int | None, lanes: int, is_whole: bool
) -> None:
    session = Wide()
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 1000)[1])
    monkeypatch.setattr(tile_size, "free_bytes", lambda: int(free_gb * 1e9))
    choice = choose_tile(session, height=1080, width=1920, batch=1, tile=tile)
    assert session.allowed == lanes
    assert (choice.tile == 0) is is_whole
    side = choice.tile or 1920
    needed = lanes * min(side, 1080) * min(side, 1920) * 1000
    assert needed <= 0.6 * free_gb * 1e9 or lanes == 1


@pytest.mark.parametrize("unknown", ["free_bytes", "peak_growth"])
def test_four_windows_run_in_parallel_where_memory_is_unknown(
    monkeypatch: pytest.MonkeyPatch, unknown: str
) -> None:
    session = Wide()
    monkeypatch.setattr(tile_size, unknown, lambda *_: None)
    assert choose_tile(session, height=1080, width=1920, batch=1).tile == 0
    assert session.allowed == 4


EDGE = replace(Hungry.network, scale=4, halo=7)


class LikeEdge(Hungry):
    """A network like `edge-s`: x4, a halo of 7, 1000 bytes a pixel."""

    network = EDGE


@pytest.mark.parametrize("free_gb", [1.5, 2, 3, 4, 6, 8, 12, 16, 20, 23, 28, 40])
@pytest.mark.parametrize(("height", "width"), [(2160, 4096), (1080, 1920), (720, 1280)])
def test_tiles_are_not_mostly_halo_where_memory_allows_more(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, height: int, width: int
) -> None:
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 1000)[1])
    monkeypatch.setattr(tile_size, "free_bytes", lambda: int(free_gb * 1e9))
    choice = choose_tile(LikeEdge(1 << 40), height=height, width=width, batch=1)
    if not choice.tile:
        return
    side = min(choice.tile, height), min(choice.tile, width)
    assert side[0] * side[1] * 1000 <= 0.95 * free_gb * 1e9
    kept = (side[0] - 14) * (side[1] - 14)
    assert kept >= 2 / 3 * side[0] * side[1]
    assert choice.queue == 1
    cost = tiling_cost(height, width, tile=choice.tile, network=EDGE)
    assert f"{cost:.0%} more" in choice.note


def test_the_queue_shrinks_before_tiles_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 100)[1])
    seen = []
    for free_gb in (40, 9, 8, 7, 6, 5, 4, 3, 2, 1):
        monkeypatch.setattr(tile_size, "free_bytes", lambda free=free_gb: int(free * 1e9))
        choice = choose_tile(LikeEdge(1 << 40), height=1080, width=1920, batch=1)
        seen.append((choice.tile == 0, choice.queue))
    assert seen[0] == (True, 4)
    assert seen[-1][1] == 1
    assert [whole for whole, _ in seen] == sorted((whole for whole, _ in seen), reverse=True)


def test_what_fits_in_no_way_is_said_before_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 1_000_000)[1])
    monkeypatch.setattr(tile_size, "free_bytes", lambda: 100_000_000)
    with pytest.raises(DeviceMemoryError, match=r"1920x1080 needs .* GB .* 0\.1 GB .*--tile"):
        choose_tile(LikeEdge(1 << 40), height=1080, width=1920, batch=1)


@pytest.mark.parametrize("halo", [1, 7, 12, 33])
@pytest.mark.parametrize("multiple", [1, 2, 4])
def test_a_good_tile_is_two_thirds_kept(halo: int, multiple: int) -> None:
    network = replace(EDGE, halo=halo, size_multiple=multiple)
    tile, rounded = good_tile(network), -(-halo // multiple) * multiple
    assert (tile - 2 * rounded) ** 2 >= 2 / 3 * tile**2
    assert (tile - multiple - 2 * rounded) ** 2 < 2 / 3 * (tile - multiple) ** 2


def test_a_tile_is_never_smaller_than_its_overlap_allows() -> None:
    assert fit_tile(1, height=900, width=900, network=Hungry.network) == 6
    assert fit_tile(900 * 300, height=300, width=2000, network=Hungry.network) == 900


def test_memory_is_what_the_system_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status, clear = tmp_path / "status", tmp_path / "clear_refs"
    monkeypatch.setattr(memory, "_STATUS", status)
    monkeypatch.setattr(memory, "_CLEAR", clear)
    status.write_text("Name:\tpython\nVmHWM:\t  900 kB\nVmRSS:\t  500 kB\n")

    def work() -> None:
        assert clear.read_text() == "5"  # what was the peak before does not count
        status.write_text("VmHWM:\t  800 kB\nVmRSS:\t  600 kB\n")

    assert memory.peak_growth(work) == 300 << 10
    monkeypatch.setattr(memory, "_CLEAR", tmp_path / "none" / "clear_refs")
    assert memory.peak_growth(work) is None


def test_memory_of_this_machine_is_read_or_said_to_be_unknown() -> None:
    # How much it is, is up to the machine and to what else it runs.
    for found in (memory.free_bytes(), memory.peak_growth(lambda: None)):
        assert found is None or found >= 0


CHILD = """
import resource, sys
from pathlib import Path
from vsrc.runtime.package import open_package
from vsrc.runtime.windows.tiles import TiledSession
import numpy as np
session = TiledSession(open_package(Path(sys.argv[1])).session(threads=1))
lr = np.zeros((1, 3, 8, 8, 3), np.uint8)
session(lr)
used = int(open('/proc/self/statm').read().split()[0]) * 4096
resource.setrlimit(resource.RLIMIT_AS, (used + (int(sys.argv[2]) << 20),) * 2)
sr = session(np.full((1, 3, 640, 800, 3), 90, np.uint8))
print(sr.shape, session.notes)
"""


def test_onnx_runtime_out_of_memory_is_survived(tiny_package: Path) -> None:
    # How much whole frames take is up to the machine; where just no image fits beside, NumPy fails.
    for megabytes in (220, 190, 175, 160, 145, 130):
        command = [sys.executable, "-c", CHILD, str(tiny_package), str(megabytes)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if "out of memory" in done.stdout:
            break
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout == (
        "(1, 1280, 1600, 3) ['out of memory (ort-cpu fp32 could not allocate memory); "
        "continuing with tiles of 400 pixels']\n"
    )
