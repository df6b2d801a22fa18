"""Pack, run, measure and quantise networks of others; write docs/results/own-networks.md.

    python benchmarks/own_networks.py [FILE...]

Without files it takes the official weights in VSRC_REFERENCE, the graphs in `cases/networks` beside
it, and a Compact of random weights made by spandrel. Each goes the whole way: package, a video,
latency, calibration, int8 for the CPU. The picture of the package is compared with that of the
original network: spandrel's own, ONNX Runtime on the graph as it came, or torch.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from vsrc.calibration.calibrating import calibrate
from vsrc.calibration.calibration_config import CalibrationConfig
from vsrc.compressor.networks.checkpoints.checkpoint_file import read_weights
from vsrc.compressor.networks.image.spandrel_image import import_spandrel
from vsrc.export.config import ExportConfig
from vsrc.export.packing.checkpoint import load_checkpoint
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import pack
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.ort import open_ort
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.runs import bench
from vsrc.runtime.machine import this_machine
from vsrc.runtime.package import open_package
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.likeness import psnr
from vsrc.runtime.sample import sample_frames

RESULTS = Path(__file__).resolve().parents[1] / "docs" / "results" / "own-networks.md"
WEIGHTS = (
    *("imdn_x4", "rlfn_x2", "rlfn_x4", "fsrcnn_x4"),
    *("etds_s_x4", "etds_l_x4"),
)
GRAPHS = ("ETDS_M4C32_x2.pth", "espcn_y224.onnx", "aji_compact_fp16_op23.onnx")
FRAMES, WINDOWS = 8, 16
CALIBRATED = 48
"""Frames that ranges are found on, a quarter of the sample clip's size."""
SIZE = (72, 96)
"""Frames, and windows of the calibration; H and W of the frames where they are free."""

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Row:
    """What came of one network."""

    name: str
    words: str
    pack_s: float
    psnr_db: float
    frames: int
    p50_ms: float
    size: tuple[int, int]
    int8: str


def main() -> None:
    """Take each network the whole way and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = np.ascontiguousarray(downscale(sample_frames(CALIBRATED), 4))
        clip = write_clip(folder / "clip", small[:FRAMES, : SIZE[0], : SIZE[1]])
        seen = write_clip(folder / "seen", small)
        for file in arguments.files or usual_files(folder):
            rows.append(take_the_way(file, folder, clip, seen))
            print(row_text(rows[-1]), flush=True)
    arguments.output.write_text(page(rows), encoding="utf-8")


def usual_files(folder: Path) -> Iterator[Path]:
    """Official weights and foreign graphs that are at hand, and one random Compact."""
    reference = Path(os.environ["VSRC_REFERENCE"])
    yield from (reference / "weights" / f"{name}.pth" for name in WEIGHTS)
    yield from (reference.parent / "cases" / "networks" / name for name in GRAPHS)
    torch.manual_seed(0)
    compact = import_spandrel().architectures.Compact.Compact(num_feat=24, num_conv=8, upscale=2)
    torch.save(compact.state_dict(), folder / "random_compact_x2.pth")
    yield folder / "random_compact_x2.pth"


def write_clip(folder: Path, frames: Picture) -> Path:
    """Write frames as PNGs, a folder that is taken as a video."""
    from skimage.io import imsave

    folder.mkdir()
    for at, frame in enumerate(frames):
        imsave(folder / f"{at:08d}.png", frame, check_contrast=False)
    return folder


def take_the_way(file: Path, folder: Path, clip: Path, seen: Path) -> Row:
    """Pack, restore a video, measure, calibrate, quantise, and compare pictures."""
    path = folder / f"{file.stem}.vsrc"
    started = time.perf_counter()
    packed = pack(OwnNetwork(str(file)), path)
    seconds = time.perf_counter() - started
    graph = open_package(path).spec.graphs["fp32"]
    height, width = (
        min(max(side, low), high)
        for side, (low, high) in zip(SIZE, (graph.height, graph.width), strict=True)
    )
    size = height, width
    session = open_package(path).session(backend="ort", precision="fp32")
    lr = frame_of(size)
    agreement = psnr(session(lr[None, None])[0], original(file)(lr), y_only=False)
    session.close()
    result = infer(
        InferConfig((clip,), folder / f"{file.stem}.mkv", model=path, backend="ort", codec="ffv1")
    )
    wanted = BenchConfig(path, size, backend="ort", iterations=10, runs=1, stages=False)
    report = bench(wanted)
    p50 = report.latency_ms.p50
    assert p50 is not None
    int8 = int8_cells(path, seen)
    frames = result.files[0].frames
    return Row(file.name, packed.words, seconds, agreement, frames, p50, size, int8)


def int8_cells(path: Path, clip: Path) -> str:
    """Calibrate and quantise: agreement, gain and share as cells of the table, or why not."""
    calibrate(CalibrationConfig(path, clips=(clip,), windows=WINDOWS, overwrite=True))
    try:
        result = export(ExportConfig(path, precision="int8-cpu"))
    except VsrcError as error:
        return f"refused: {str(error).split(';', maxsplit=1)[0]} | - | -"
    agreements = result.agreements["int8-cpu"]
    gains = [each.gain_db for each in agreements if each.gain_db is not None]
    share = result.graphs[0].graph.int8_share
    assert share is not None
    gain = f"{min(gains):+.3f}" if gains else "-"
    return f"{result.worst_db:.1f} | {gain} | {100 * share:.0f} %"


def frame_of(size: tuple[int, int]) -> Picture:
    """A real frame, `(H, W, 3)`, repeated where it is too small."""
    frame = sample_frames(1)[0]
    repeat = [-(-want // have) for want, have in zip(size, frame.shape[:2], strict=True)]
    return np.ascontiguousarray(np.tile(frame, (*repeat, 1))[: size[0], : size[1]])


def original(file: Path) -> Callable[[Picture], Picture]:
    """Function that enlarges a picture with the network as it came, written out."""
    if file.suffix == ".onnx":
        return lambda lr: by_onnxruntime(file, lr)
    if file.stem.startswith("random_compact"):
        descriptor = import_spandrel().ModelLoader().load_from_state_dict(dict(read_weights(file)))
        return lambda lr: by_torch(descriptor, lr)
    network = load_checkpoint(OwnNetwork(str(file))).network
    return lambda lr: by_torch(network, lr)


def by_torch(network: Callable[[torch.Tensor], torch.Tensor], lr: Picture) -> Picture:
    """RGB in [0, 1], NCHW."""
    with torch.inference_mode():
        sr = network(torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255)[0]
    return np.asarray((sr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0))


def by_onnxruntime(file: Path, lr: Picture) -> Picture:
    """RGB in [0, 1], NCHW, in the precision of the graph."""
    session = open_ort(file, threads=0)
    value = session.get_inputs()[0]
    dtype = np.float16 if "16" in value.type else np.float32
    fed = (np.moveaxis(lr, -1, 0)[None].astype(np.float32) / 255).astype(dtype)
    sr = np.asarray(session.run(None, {value.name: fed})[0][0], np.float32)
    picture: Picture = np.rint(np.moveaxis(sr.clip(0, 1) * 255, 0, -1)).astype(np.uint8)
    return picture


def row_text(row: Row) -> str:
    """One line of the table."""
    agreement = "equal" if np.isinf(row.psnr_db) else f"{row.psnr_db:.1f}"
    height, width = row.size
    return (
        f"| {row.name} | {row.words} | {row.pack_s:.0f} | {agreement} | {row.frames} "
        f"| {row.p50_ms:.1f} ({width}x{height}) | {row.int8} |"
    )


def page(rows: list[Row]) -> str:
    """The page of results."""
    machine = this_machine()
    cpu = machine.cpu or machine.architecture
    lines = [
        "# Networks that are no packages",
        "",
        f"From `benchmarks/own_networks.py`, on {cpu}; other work ran beside it, so times are no "
        "measure of speed. Each file was packed, restored a video, was measured, calibrated on "
        f"{WINDOWS} windows of the sample clip and quantised for the CPU.",
        "",
        "| file | found to be | packed, s | picture to the original's, 8 bits, dB | frames "
        "| p50, ms | int8-cpu to the original, dB | against ground truth, dB | in int8 |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|",
        *map(row_text, rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
