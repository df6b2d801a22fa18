"""Make a package that ships: merged weights in half precision, graphs, quality, time, model card.

python benchmarks/train/ship.py TRAINED.vsrc runtime/zoo/NAME.vsrc --data FOLDER
                                [--graphs fp32 fp16 int8 int8-cpu] [--float] [--clips CALIBRATION]
                                [--float-layers encoder fusion] [--times measure|keep|later]
                                [--recipe FILE] [--began-from NAME]
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from safetensors.torch import save_file

from vsrc.benchmarks.train.card import card
from vsrc.benchmarks.train.sources import GATHERED
from vsrc.calibration import CalibrationConfig, calibrate
from vsrc.calibration.calibration_file import read_calibration, write_calibration
from vsrc.compressor.networks.loading.packaged import from_package, to_deployed
from vsrc.export import ExportConfig, export
from vsrc.export.config import AskedPrecision
from vsrc.runtime import BenchConfig, bench
from vsrc.runtime.latency.report import report_to_text
from vsrc.runtime.package import (
    CALIBRATION_FILE,
    WEIGHTS_FILE,
    describe_file,
    new_folder,
    open_package,
    write_spec,
)
from vsrc.runtime.quality.eval_config import EvalConfig
from vsrc.runtime.quality.eval_report import EvalReport, eval_text
from vsrc.runtime.quality.evaluation import evaluate
from vsrc.runtime.sample import SAMPLE_CLIP
from vsrc.runtime.spec import Quality

PATHS = ("cache", "data", "output", "run_dir", "teacher_cache")
TIMED = ("fp32", "int8-cpu")
"""Graphs that run on a CPU; the others are for NVIDIA devices."""


def main() -> None:
    """Merge, halve, export, measure, describe."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trained", type=Path)
    parser.add_argument("shipped", type=Path)
    parser.add_argument("--graphs", nargs="*", default=["fp32", "fp16", "int8", "int8-cpu"])
    parser.add_argument("--float", action="store_true", help="fp32 with float edges, too")
    parser.add_argument("--data", type=Path, required=True, help="clips never trained on")
    parser.add_argument("--clips", default=str(SAMPLE_CLIP), help="to find ranges of int8 on")
    parser.add_argument("--recipe", help="of the last run  [default: recipes/ship-NAME-cpu.yaml]")
    parser.add_argument("--began-from", help="package that the last run began from, by name")
    parser.add_argument(
        "--times",
        choices=("measure", "keep", "later"),
        default="measure",
        help="latency reports: measured, those of the package that is replaced (if its graphs "
        "differ in weights alone), or measured later by times.py, on a quiet machine",
    )
    parser.add_argument("--float-layers", nargs="*", default=[], help="no int8 in these")
    options = parser.parse_args()
    kept = read_times(options.shipped) if options.times == "keep" else {}
    recipe = options.recipe or f"recipes/ship-{options.shipped.stem}-cpu.yaml"
    merge(options.trained, options.shipped, recipe_file=recipe, began_from=options.began_from)
    ranges = CalibrationConfig(
        options.shipped,
        clips=(options.clips,),
        windows=200,
        tile=(180, 320),
        float_layers=tuple(options.float_layers),
    )
    learnt = keep_learnt_ranges(options.trained, options.shipped)
    add_graphs(options.shipped, options.graphs, options.float, None if learnt else ranges)
    report = evaluate(EvalConfig(data=options.data, models=(options.shipped,), precision="fp32"))
    print(eval_text(report))
    spec = open_package(options.shipped).spec
    write_spec(options.shipped, replace(spec, quality=measured(report)))
    for name, content in kept.items():
        (options.shipped / "reports" / name).write_bytes(content)
    if options.times == "measure":
        time_graphs(options.shipped)
    (options.shipped / "README.md").write_text(card(options.shipped), encoding="utf-8")


def read_times(package: Path) -> dict[str, bytes]:
    """The latency reports of a package, by name."""
    return {path.name: path.read_bytes() for path in package.glob("reports/bench-*.json")}


def merge(trained: Path, shipped: Path, *, recipe_file: str, began_from: str | None) -> None:
    """Copy a package without training branches, in half precision, without paths."""
    package = open_package(trained)
    network = to_deployed(from_package(package))
    with new_folder(shipped, overwrite=True) as folder:
        halves = {
            name: (tensor.half() if tensor.dtype == torch.float32 else tensor).contiguous()
            for name, tensor in network.state_dict().items()
        }
        save_file(halves, folder / WEIGHTS_FILE)
        recipe = {k: v for k, v in package.spec.provenance.recipe.items() if k not in PATHS}
        recipe["student_weights"] = began_from or Path(recipe["student_weights"]).name
        command = f"vsrc distill --recipe {recipe_file}"
        provenance = replace(
            package.spec.provenance, recipe=recipe, data=(GATHERED,), command=command
        )
        spec = replace(
            package.spec,
            weights=describe_file(folder, WEIGHTS_FILE),
            graphs={},
            provenance=provenance,
            quality=(),
        )
        write_spec(folder, spec)


def keep_learnt_ranges(trained: Path, shipped: Path) -> bool:
    """Take over the int8 ranges that training for int8 has learnt; return whether there are any."""
    calibration = read_calibration(trained)
    if calibration is None or not calibration.is_learnt:
        return False

    weights = open_package(shipped).spec.weights
    assert weights is not None
    write_calibration(shipped, replace(calibration, weights_sha256=weights.sha256))
    return True


def measured(report: EvalReport) -> tuple[Quality, ...]:
    """What the last row of an evaluation says, clip by clip."""
    protocol = "; ".join(report.protocol)
    return tuple(
        Quality(data=clip.clip, metric=metric, protocol=protocol, value=round(value, 4))
        for clip in report.rows[-1].clips
        for metric, value in clip.values.items()
        if value is not None
    )


def add_graphs(
    package: Path,
    precisions: Sequence[AskedPrecision],
    float_too: bool,
    ranges: CalibrationConfig | None,
) -> None:
    """Whole graphs only: the halves of an edge student save nothing on a CPU.

    Int8 ranges are found first, unless `ranges` is None: the package has them.
    """
    int8 = [precision for precision in precisions if precision.startswith("int8")]
    for precision in precisions:
        if precision not in int8:
            export(ExportConfig(package, precision=precision, halves=False))
    if int8 and ranges is not None:
        calibrate(ranges)
        _drop_folders(package / CALIBRATION_FILE, ranges.clips)
    for precision in int8:
        export(ExportConfig(package, precision=precision, halves=False))
    if float_too:
        export(ExportConfig(package, io="float", halves=False))
    for page in (package / "reports").glob("*.html"):
        page.unlink()  # half a megabyte of pictures


def _drop_folders(calibration: Path, clips: Sequence[str | Path]) -> None:
    """Name the clips without the folders of this machine."""
    text = calibration.read_text(encoding="utf-8")
    for clip in clips:
        text = text.replace(json.dumps(str(clip)), json.dumps(Path(clip).name))
    calibration.write_text(text, encoding="utf-8")


def time_graphs(package: Path) -> None:
    """Leave a latency report of each graph for CPUs in the package."""
    graphs = open_package(package).spec.graphs
    for precision in TIMED:
        if precision in graphs:
            report = bench(BenchConfig(package, precision=precision, shape=(180, 320), seconds=6.0))
            subject = replace(report.subject, model=package.name)
            text = report_to_text(replace(report, subject=subject))
            (package / "reports" / f"bench-{precision}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
