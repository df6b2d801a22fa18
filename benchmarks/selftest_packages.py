"""Make the two tiny packages of `vsrc selftest`: `python -m vsrc.benchmarks.selftest_packages`.

The shipped students have no encode and fuse graphs, and no int8 graph beside fp32, which TensorRT
8.6 and JetPack 7.2 on Orin need; a self-test builds all of them. The weights are random, of a fixed
seed.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import torch

from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks.video.edge import edge
from vsrc.export.config import ExportConfig
from vsrc.export.runs.exporting import export
from vsrc.runtime.package import open_package, write_spec
from vsrc.runtime.sample import SAMPLE_CLIP

ASSETS = Path(__file__).resolve().parents[1] / "runtime/assets"


def main() -> None:
    torch.manual_seed(0)
    network = edge(encoded=8, features=16, blocks=2, scale=2, window=3)
    with tempfile.TemporaryDirectory() as folder:
        path = write_package(network, Path(folder) / "selftest.vsrc")
        export(ExportConfig(path, precision="fp32"))
        export(ExportConfig(path, precision="fp16"))
        export(ExportConfig(path, precision="int8", calib=(SAMPLE_CLIP,)))
        keep(path)
        path = write_package(network, Path(folder) / "selftest-int8-fp32.vsrc")
        export(ExportConfig(path, precision="int8", int8_with="fp32", calib=(SAMPLE_CLIP,)))
        keep(path)


def keep(package: Path) -> None:
    """Keep what a device needs: the spec and the graphs."""
    target = ASSETS / package.name
    spec = open_package(package).spec
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(package / "graphs", target / "graphs")
    shutil.copy(package / "weights.safetensors", target)
    write_spec(target, spec)
    size = sum(file.stat().st_size for file in target.rglob("*") if file.is_file())
    print(f"{target}: {', '.join(spec.graphs)}, {size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
