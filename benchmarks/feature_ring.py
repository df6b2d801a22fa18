"""What keeping features saves, against what the count of multiply-accumulates predicts.

    python benchmarks/feature_ring.py [NETWORK ...] [--size 96x128] [--frames 12] [--rounds 5]

A network in two parts encodes each frame of its window by itself, then fuses them. Fed window by
window it encodes a frame R times, as often as it is in a window; with its features kept, once:

    counted   = (MACs of encoding one frame + fusing) / (MACs of the whole network)
    by halves = the same with the CPU time of the two graphs by themselves in place of MACs, so
                (encode + fuse) / (R * encode + fuse): a MAC does not take the same time everywhere
    measured  = CPU time a frame through the ring / CPU time a frame, window by window

Weights are random: they do not change the time. STDAN is a shallow one, because the whole takes a
quarter of an hour to export: two blocks in each group in place of six, half the groups, three
frames. One thread, so that the CPU time is that of the arithmetic. Exports are kept where `--keep`
says, for the next run.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks.layers.counting import shape_twin
from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder, count_encoded_runs
from vsrc.compressor.networks.loading.packaged import to_deployed
from vsrc.compressor.networks.table import NETWORKS, create
from vsrc.compressor.networks.video.stdan import SCALE, Stdan, StdanSize
from vsrc.export.config import ExportConfig
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.opening import open_video_session
from vsrc.runtime.backends.ort_halves import OrtHalves
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.session import Session
from vsrc.runtime.windows.upscale import upscale_frames

MEASURED = ("edge-s", "edge-m", "edge-l", "fastdvdnet", "edvr-m", "stdan")


def shallow_stdan(*, scale: int = 4, window: int = 3) -> Stdan:
    """STDAN with its channels, its parts and about their share of the work."""
    assert scale == SCALE
    size = StdanSize(encoder_groups=1, reconstruct_groups=3, depth=2)
    return Stdan(size, window=window)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", default=MEASURED)
    parser.add_argument("--size", default="96x128", help="HxW of the LR frames")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", type=Path, help="folder for the packages")
    options = parser.parse_args()
    NETWORKS["stdan"] = shallow_stdan  # where the export looks, too
    size = tuple(map(int, options.size.split("x")))
    print("| network | counted | by halves | measured | / counted | / by halves | largest of 255 |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory(prefix="vsrc-ring-") as folder:
        for name in options.networks:
            path = (options.keep or Path(folder)) / f"{name}.vsrc"
            network = exported(name, path)
            frames = made_up(options.frames + spec_of(network).window, *size)
            by_halves, measured, difference = compare(path, frames, options.rounds)
            counted = prediction(network, *size)
            print(
                f"| {name} | {counted:.3f} | {by_halves:.3f} | {measured:.3f} "
                f"| {measured / counted:.3f} | {measured / by_halves:.3f} | {difference} |",
                flush=True,
            )


def exported(name: str, path: Path) -> nn.Module:
    """Export a network with random weights, with its halves; returns it as it is deployed."""
    torch.manual_seed(0)
    network = create(name)
    if not path.exists():
        draft = path.with_suffix(".new")
        write_package(network, draft)
        export(ExportConfig(draft))
        draft.rename(path)
    return to_deployed(network)


def made_up(count: int, height: int, width: int) -> list[SourceFrame]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return [SourceFrame(rgb, at, 1) for at, rgb in enumerate(frames)]


def compare(path: Path, frames: list[SourceFrame], rounds: int) -> tuple[float, float, int]:
    """CPU time through the ring to that of whole windows, and how far the pictures differ.

    Returns:
        What the halves by themselves predict, what is measured (medians of the rounds), and the
        largest difference of a sample.
    """
    package = open_package(path)
    ring, whole = open_video_session(package, threads=1), package.session(threads=1)
    assert isinstance(ring, RingSession)
    predicted, ratios, difference = [], [], 0
    for _ in range(rounds):
        kept, kept_seconds = timed(frames, ring)
        fed, fed_seconds = timed(frames, whole)
        ratios.append(kept_seconds / fed_seconds)
        difference = max(difference, int(np.abs(kept.astype(int) - fed).max()))
        encode, fuse = halves_seconds(package, frames)
        predicted.append(shared(ring.network, ring.runs, encode, fuse))
    return statistics.median(predicted), statistics.median(ratios), difference


def halves_seconds(
    package: Package, frames: list[SourceFrame], runs: int = 2
) -> tuple[float, float]:
    """CPU time of the encode and the fuse graph, each run again and again by itself; medians."""
    (encode, graph), (fuse, _) = (package.graph(f"{half}-fp32") for half in ("encode", "fuse"))
    network = package.spec.network
    halves = OrtHalves(encode, fuse, network=network, graph=graph, threads=1)
    window = network.window - graph.encoded_frames + 1
    rgb = np.stack([frame.rgb for frame in frames[: graph.encoded_frames]])
    memory = halves.memory(window, *rgb.shape[1:3])
    encoding: list[float] = []
    fusing: list[float] = []
    for _ in range(runs):
        encoding += [cpu_seconds(partial(memory.encode, rgb, slot)) for slot in range(window)]
        fusing.append(cpu_seconds(partial(memory.fuse, 0, rgb[0])))
    halves.close()
    return statistics.median(encoding), statistics.median(fusing)


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of a piece of work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def timed(frames: list[SourceFrame], session: Session) -> tuple[NDArray[np.uint8], float]:
    """The pictures, and the CPU time from the moment the first window is full."""
    pictures: list[NDArray[np.uint8]] = []
    started = 0.0
    for result in upscale_frames(iter(frames), session):
        if not pictures:
            started = time.process_time()
        assert result.rgb is not None
        pictures.append(result.rgb)
    return np.stack(pictures), time.process_time() - started


def prediction(network: nn.Module, height: int, width: int) -> float:
    """Arithmetic through the ring to that of whole windows, for one more window."""
    twin = shape_twin(network)
    assert isinstance(twin, FrameEncoder)
    spec = spec_of(network)
    count = twin.encoded_frames
    run = (1, count, 3, height, width) if count > 1 else (1, 3, height, width)
    with torch.no_grad():
        with FlopCounterMode(display=False) as encoding:
            maps = twin.encode(torch.empty(run, device="meta"))
        runs = count_encoded_runs(spec.window, encoded_frames=count)
        features = tuple(one[:, None].expand(-1, runs, -1, -1, -1) for one in maps)
        with FlopCounterMode(display=False) as fusing:
            twin.fuse(features, torch.empty((1, 3, height, width), device="meta"))
    return shared(spec, runs, encoding.get_total_flops(), fusing.get_total_flops())


def shared(network: NetworkSpec, runs: int, encode: float, fuse: float) -> float:
    """What is left of the cost of a window of so many runs, if every run is encoded once."""
    # Windows of a network that doubles the rate share one frame: the others are encoded anyway.
    fresh = runs - 1 if network.time_scale == 2 else 1
    return (fresh * encode + fuse) / (runs * encode + fuse)


if __name__ == "__main__":
    main()
