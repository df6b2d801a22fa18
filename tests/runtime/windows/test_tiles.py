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

from support.enlarger import ANY, Hungry
from support.optional import skip_without
from vsrc.runtime import memory
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress
from vsrc.runtime.package import open_package
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.tile_size import check_tile
from vsrc.runtime.windows.tiles import TiledSession, spans
from vsrc.runtime.windows.upscale import upscale_frames

Pictures = NDArray[np.uint8]
Make = Callable[..., Any]


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
