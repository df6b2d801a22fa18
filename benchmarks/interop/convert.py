"""Convert float graphs with pnnx/ncnn and OpenVINO, run them there; write docs/results/interop.md.

    pip install --no-deps -r benchmarks/interop/requirements.txt
    python benchmarks/interop/convert.py [MODEL...]

MODEL is what `vsrc export` takes: a package, a shipped name, a checkpoint or a graph. Without any
they are the image networks in VSRC_REFERENCE and the students that ship. The graph is the one of

    vsrc export MODEL --io float                       image network: (N, 3, H, W)
    vsrc export MODEL --io float --layout stacked      frames in the channels: (N, 3 T, H, W)

and the picture of each program on real frames is compared with that of ONNX Runtime, unrounded.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.export.config import ExportConfig
from vsrc.export.graphs.check_frames import as_fed, real_window
from vsrc.export.graphs.graph_name import graph_name
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import pack
from vsrc.export.runs.exporting import export
from vsrc.runtime.backends.ort import open_ort
from vsrc.runtime.machine import this_machine
from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import list_shipped

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results" / "interop.md"
REQUIREMENTS = Path(__file__).with_name("requirements.txt")
WEIGHTS = ("fsrcnn_x4", "etds_s_x4", "rlfn_x2", "imdn_x4")
SIZE = (72, 96)
"""H and W of the frames, LR pixels."""
SAME_DB = 60.0
"""Least PSNR to ONNX Runtime, peak 1, for a picture to be called the same."""

Frames = NDArray[np.float32]


@dataclass(frozen=True)
class Row:
    """What other programs made of one graph; dB, or the reason of a failure."""

    name: str
    shape: tuple[int, ...]
    ncnn: float | str
    openvino: float | str

    @property
    def is_same(self) -> bool:
        """Whether all of them gave the same picture."""
        return all(
            isinstance(each, float) and each >= SAME_DB for each in (self.ncnn, self.openvino)
        )


def main() -> None:
    """Convert, run and compare; status 1 where a picture is another."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("-o", "--output", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    pinned = check_versions()
    print(", ".join(pinned), flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for model in arguments.models or usual_models():
            rows.append(convert(model, Path(name)))
            print(row_text(rows[-1]), flush=True)
    arguments.output.write_text(page(rows, pinned), encoding="utf-8")
    if not all(row.is_same for row in rows):
        sys.exit(f"not all pictures are the same (within {SAME_DB:g} dB)")


def check_versions() -> list[str]:
    """Versions of the programs; ends where they are not those of the requirements."""
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if "==" in line]
    for line in lines:
        package, _, wanted = line.partition("==")
        try:
            have = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            have = "none"
        if have != wanted:
            sys.exit(
                f"{package} {wanted} is needed, there is {have}: pip install --no-deps -r "
                f"{REQUIREMENTS}"
            )
    runtime = importlib.metadata.version("onnxruntime")
    return [line.replace("==", " ") for line in lines] + [f"onnxruntime {runtime}"]


def usual_models() -> Iterator[str]:
    """Official weights that are at hand, and the students that ship."""
    if reference := os.environ.get("VSRC_REFERENCE"):
        yield from (str(Path(reference) / "weights" / f"{name}.pth") for name in WEIGHTS)
    yield from list_shipped()


def convert(model: str, folder: Path) -> Row:
    """Export the float graph of a model, of four axes, and run it in each program."""
    package = folder / f"{OwnNetwork(model).stem}.vsrc"
    pack(OwnNetwork(model), package)
    network = open_package(package).spec.network
    export(ExportConfig(package, io="float", layout="stacked", halves=False, overwrite=True))
    name = graph_name("fp32", "float", is_stacked=network.window > 1)
    file, _ = open_package(package).graph(name)
    fed = as_fed(
        real_window(network.window, height=SIZE[0], width=SIZE[1]),
        graph_io="float",
        layout="stacked",
    ).astype(np.float32)
    (truth,) = open_ort(file, threads=1).run(None, {"lr": fed})
    return Row(
        Path(model).name,
        fed.shape,
        agreement(lambda: run_ncnn(file, fed, folder / "ncnn"), truth),
        agreement(lambda: run_openvino(file, fed), truth),
    )


def agreement(run: Callable[[], Frames], truth: Frames) -> float | str:
    """PSNR of a program's output to ONNX Runtime's, dB; the first line of its failure."""
    try:
        given = run()
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return str(error).strip().splitlines()[0]
    if given.shape != truth.shape:
        return f"gives {given.shape} instead of {truth.shape}"
    difference = float(np.mean((given.astype(np.float64) - truth) ** 2))
    return float("inf") if difference == 0 else 10 * float(np.log10(1 / difference))


def run_ncnn(file: Path, fed: Frames, folder: Path) -> Frames:
    """Convert with pnnx, run with ncnn on the CPU in float32."""
    import ncnn
    import pnnx

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shutil.copyfile(file, folder / "graph.onnx")
    program = Path(pnnx.__file__).with_name("pnnx")
    shape = ",".join(map(str, fed.shape))
    done = subprocess.run(
        [program, "graph.onnx", f"inputshape=[{shape}]"],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode or not (folder / "graph.ncnn.param").is_file():
        raise RuntimeError(f"pnnx ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.use_bf16_storage = False
    net.opt.num_threads = 1
    if net.load_param(str(folder / "graph.ncnn.param")):
        raise RuntimeError("ncnn does not know a layer that pnnx wrote")
    net.load_model(str(folder / "graph.ncnn.bin"))
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(fed[0]).clone())
    status, given = extractor.extract("out0")
    if status:
        raise RuntimeError(f"ncnn ended with {status}")
    return np.array(given)[None]


def run_openvino(file: Path, fed: Frames) -> Frames:
    """Convert and run with OpenVINO on the CPU in float32."""
    import openvino

    model = openvino.convert_model(str(file))
    compiled = openvino.compile_model(
        model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    )
    return np.asarray(compiled(fed)[0])


def row_text(row: Row) -> str:
    """One line of the table."""

    def cell(value: float | str) -> str:
        if isinstance(value, str):
            return value
        return "equal" if np.isinf(value) else f"{value:.1f}"

    shape = "x".join(map(str, row.shape))
    return f"| {row.name} | {shape} | {cell(row.ncnn)} | {cell(row.openvino)} |"


def page(rows: list[Row], versions: list[str]) -> str:
    """The page of results."""
    machine = this_machine()
    lines = [
        "# Graphs in other programs",
        "",
        f"From `benchmarks/interop/convert.py`, on {machine.cpu or machine.architecture}, with "
        f"{', '.join(versions)}. The float graph of four axes of each model (`vsrc export MODEL "
        "--io float --layout stacked`) was converted with pnnx and run with ncnn, and converted "
        "and run with OpenVINO, both on the CPU in float32. Numbers are PSNR to the picture of "
        "ONNX Runtime before rounding, peak 1, on real frames; "
        f"{SAME_DB:g} dB and more is called the same picture.",
        "",
        "| model | input | pnnx + ncnn, dB | OpenVINO, dB |",
        "|---|---|---:|---:|",
        *map(row_text, rows),
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
