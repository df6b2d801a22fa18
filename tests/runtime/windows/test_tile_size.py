"""The size of tiles: what fits beside the queue and the encoder, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from support.enlarger import Frames, Hungry
from vsrc.runtime.errors import DeviceMemoryError, MismatchError
from vsrc.runtime.windows import tile_size
from vsrc.runtime.windows.tile_size import TileChoice, choose_tile, fit_tile, good_tile, tiling_cost


def test_small_frames_are_never_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tile_size, "free_bytes", lambda: 1)
    assert choose_tile(Hungry(0), height=480, width=640, batch=1).tile == 0


@pytest.mark.parametrize("side", [16, 64, 128])
def test_a_graph_no_larger_than_its_halo_is_refused_with_the_shape_that_works(side: int) -> None:
    session = Hungry(1)
    session.graph = replace(session.graph, height=(16, side), width=(16, side))
    session.network = replace(session.network, halo=64, size_multiple=4)
    with pytest.raises(MismatchError, match=r"takes at most .*--shape 180x320 \(HxW\).* above 128"):
        choose_tile(session, height=180, width=320, batch=1)
    assert choose_tile(session, height=16, width=16, batch=1).tile == 0


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
        assert choice.tile >= 350
        cost = tiling_cost(1080, 1920, tile=choice.tile, network=session.network)
        assert cost <= 0.1
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

    def start(self, lr: Frames, keys: object = None, *, place: object = 0) -> Callable[[], Frames]:
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


def choose_with(
    free_gb: float, monkeypatch: pytest.MonkeyPatch, *, height: int, width: int
) -> TileChoice:
    """Choose the tile of `LikeEdge` for frames of a size, with so much free memory."""
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 1000)[1])
    monkeypatch.setattr(tile_size, "free_bytes", lambda: int(free_gb * 1e9))
    return choose_tile(LikeEdge(1 << 40), height=height, width=width, batch=1)


@pytest.mark.parametrize("free_gb", [1.5, 2, 3, 4, 6, 8, 12, 16, 20, 23, 28, 40])
@pytest.mark.parametrize(("height", "width"), [(2160, 4096), (1080, 1920), (720, 1280)])
def test_tiles_are_not_mostly_halo_where_memory_allows_more(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, height: int, width: int
) -> None:
    choice = choose_with(free_gb, monkeypatch, height=height, width=width)
    if not choice.tile:
        return
    side = min(choice.tile, height), min(choice.tile, width)
    assert side[0] * side[1] * 1000 <= 0.95 * free_gb * 1e9
    kept = (side[0] - 14) * (side[1] - 14)
    assert kept >= 2 / 3 * side[0] * side[1]
    assert choice.queue == 1
    cost = tiling_cost(height, width, tile=choice.tile, network=EDGE)
    assert f"{cost:.0%} more" in choice.note


@pytest.mark.parametrize("free_gb", [1.5, 2, 4, 6, 8, 12, 16, 24])
@pytest.mark.parametrize(
    ("height", "width"), [(2160, 3840), (4320, 7680), (3840, 2160), (1080, 1920), (100, 16000)]
)
def test_no_smaller_tile_would_compute_less(
    monkeypatch: pytest.MonkeyPatch, free_gb: float, height: int, width: int
) -> None:
    choice = choose_with(free_gb, monkeypatch, height=height, width=width)
    if not choice.tile:
        return
    cost = tiling_cost(height, width, tile=choice.tile, network=EDGE)
    others = range(good_tile(EDGE), choice.tile)
    least = min(tiling_cost(height, width, tile=side, network=EDGE) for side in others)
    assert cost <= least + 0.05
    # Two tiles of nearly the whole frame, side by side, would compute nearly twice as much.
    assert cost <= 0.5


def test_tiles_of_a_limited_graph_divide_the_frame() -> None:
    graph = replace(Hungry.graph, height=(1, 8192), width=(1, 8192))
    session = LikeEdge(1 << 40)
    session.graph = graph
    choice = choose_tile(session, height=1, width=10000, batch=1)
    assert choice.tile == 5007  # two of (10000 - 14) / 2 and a halo on both sides
    session.graph = replace(graph, height=(8192, 8192), width=(8192, 8192))
    assert choose_tile(session, height=1, width=10000, batch=1).tile == 8192


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


def test_where_the_encoder_alone_takes_the_memory_no_tiles_are_announced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tile_size, "peak_growth", lambda work: (work(), 128**2 * 100)[1])
    monkeypatch.setattr(tile_size, "free_bytes", lambda: int(24e9))
    choice = choose_tile(LikeEdge(1 << 40), height=2160, width=3840, batch=1, encoder=24e9)
    assert (choice.tile, choice.queue) == (0, 1)
    # 24 GB of the encoder, 3.6 of nine pictures of 133 megapixels, 0.8 of the network
    assert "3840x2160 may take 28.4 GB, most of it for frames in the encoder" in choice.note
    assert "tiles" not in choice.note


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
