"""What keeping features saves, against what the count of multiply-accumulates predicts.

    python benchmarks/feature_ring.py [NETWORK ...] [--size 96x128] [--frames 12] [--rounds 5]

A network in two parts encodes each frame of its window by itself, then fuses them. Fed window by
window it encodes a frame T times; with its features kept, once:

    predicted = (MACs of encoding one frame + fusing) / (MACs of the whole network)
    measured  = CPU time a frame through the ring / CPU time a frame, window by window

Weights are random: they do not change the time. One thread, so that the CPU time is that of the
arithmetic.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from vsrc.benchmarks.packages import write_package
from vsrc.compressor.networks.counting import shape_twin
from vsrc.compressor.networks.frame_encoder import FrameEncoder, encoded_runs
from vsrc.compressor.networks.packaged import deployed
from vsrc.compressor.networks.table import create
from vsrc.compressor.taps import spec_of
from vsrc.export.export_config import ExportConfig
from vsrc.export.graph_export import export
from vsrc.runtime.backends import open_video_session
from vsrc.runtime.feature_ring import RingSession
from vsrc.runtime.package import open_package
from vsrc.runtime.restore import restored
from vsrc.runtime.session import Session
from vsrc.runtime.stamped import SourceFrame

NETWORKS = ("edge-s", "edge-m", "fastdvdnet", "edvr-m", "stdan")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("networks", nargs="*", default=NETWORKS)
    parser.add_argument("--size", default="96x128", help="HxW of the LR frames")
    parser.add_argument("--frames", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    print("| network | predicted | measured | measured / predicted | largest difference of 255 |")
    print("|---|---|---|---|---|")
    for name in options.networks:
        with tempfile.TemporaryDirectory(prefix="vsrc-ring-") as folder:
            package = Path(folder) / "a.vsrc"
            network = exported(name, package)
            frames = made_up(options.frames + spec_of(network).window, height, width)
            measured, difference = compare(package, frames, options.rounds)
        predicted = prediction(network, height, width)
        print(
            f"| {name} | {predicted:.3f} | {measured:.3f} | {measured / predicted:.3f} "
            f"| {difference} |",
            flush=True,
        )


def exported(name: str, path: Path) -> nn.Module:
    """Export a network with random weights, with its halves; returns it as it is deployed."""
    torch.manual_seed(0)
    network = create(name)
    write_package(network, path)
    export(ExportConfig(path))
    return deployed(network)


def made_up(count: int, height: int, width: int) -> list[SourceFrame]:
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return [SourceFrame(rgb, at, 1) for at, rgb in enumerate(frames)]


def compare(path: Path, frames: list[SourceFrame], rounds: int) -> tuple[float, int]:
    """CPU time through the ring to that of whole windows, and how far the pictures differ."""
    package = open_package(path)
    ring, whole = open_video_session(package, threads=1), package.session(threads=1)
    assert isinstance(ring, RingSession)
    ratios, difference = [], 0
    for _ in range(rounds):
        kept, kept_seconds = timed(frames, ring)
        fed, fed_seconds = timed(frames, whole)
        ratios.append(kept_seconds / fed_seconds)
        difference = max(difference, int(np.abs(kept.astype(int) - fed).max()))
    return statistics.median(ratios), difference


def timed(frames: list[SourceFrame], session: Session) -> tuple[NDArray[np.uint8], float]:
    """The pictures, and the CPU time from the moment the first window is full."""
    pictures: list[NDArray[np.uint8]] = []
    started = 0.0
    for result in restored(iter(frames), session):
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
        runs = encoded_runs(spec.window, encoded_frames=count)
        features = tuple(one[:, None].expand(-1, runs, -1, -1, -1) for one in maps)
        with FlopCounterMode(display=False) as fusing:
            twin.fuse(features, torch.empty((1, 3, height, width), device="meta"))
    encode, fuse = encoding.get_total_flops(), fusing.get_total_flops()
    # Windows of a network that doubles the rate share one frame: the others are encoded anyway.
    fresh = runs - 1 if spec.time_scale == 2 else 1
    return float((fresh * encode + fuse) / (runs * encode + fuse))


if __name__ == "__main__":
    main()
