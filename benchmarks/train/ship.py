"""Make a package that ships: weights in half precision, an fp32 graph if it is a student, quality.

python benchmarks/train/ship.py TAUGHT.vsrc runtime/zoo/NAME.vsrc --data FOLDER [--graph]
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vsrc.export import ExportConfig, export
from vsrc.runtime.eval_config import EvalConfig
from vsrc.runtime.eval_report import eval_text
from vsrc.runtime.evaluate import evaluate
from vsrc.runtime.package import WEIGHTS_FILE, describe, new_folder, open_package, write_spec
from vsrc.runtime.spec import Quality


def main() -> None:
    """Halve, export, measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("taught", type=Path)
    parser.add_argument("shipped", type=Path)
    parser.add_argument("--graph", action="store_true", help="export the fp32 graph too")
    parser.add_argument("--data", type=Path, required=True, help="clips never taught on")
    options = parser.parse_args()
    halve(options.taught, options.shipped)
    with tempfile.TemporaryDirectory() as scratch:
        trial = Path(scratch) / options.shipped.name
        shutil.copytree(options.shipped, trial)
        export(ExportConfig(trial))
        spec = open_package(options.shipped).spec
        write_spec(options.shipped, replace(spec, quality=measured(trial, options.data)))
    if options.graph:
        export(ExportConfig(options.shipped))


def halve(taught: Path, shipped: Path) -> None:
    """Copy a package with its weights in half precision and without paths of this machine."""
    package = open_package(taught)
    weights = load_file(package.weights())
    with new_folder(shipped, overwrite=True) as folder:
        halves = {
            name: tensor.half() if tensor.dtype == torch.float32 else tensor
            for name, tensor in weights.items()
        }
        save_file(halves, folder / WEIGHTS_FILE)
        recipe = {k: v for k, v in package.spec.provenance.recipe.items() if k not in PATHS}
        provenance = replace(package.spec.provenance, recipe=recipe, data=GATHERED, command=COMMAND)
        spec = replace(
            package.spec,
            weights=describe(folder, WEIGHTS_FILE),
            graphs={},
            provenance=provenance,
            quality=(),
        )
        write_spec(folder, spec)


def measured(package: Path, data: Path) -> tuple[Quality, ...]:
    """PSNR and SSIM of a package with a graph on each clip of `data`."""
    report = evaluate(EvalConfig(data=data, models=(package,)))
    print(eval_text(report))
    protocol = "; ".join(report.protocol)
    return tuple(
        Quality(data=clip.clip, metric=metric, protocol=protocol, value=round(value, 4))
        for clip in report.rows[-1].clips
        for metric, value in clip.values.items()
        if value is not None
    )


PATHS = ("cache", "data", "output", "run_dir", "student_weights")
GATHERED = ("what benchmarks/train/gather.py collects",)
COMMAND = "vsrc distill --recipe recipes/ship-NAME-cpu.yaml"

if __name__ == "__main__":
    main()
