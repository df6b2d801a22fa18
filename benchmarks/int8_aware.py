"""PSNR of int8 against fp32, of a student trained for int8 and of one that was not.

    python benchmarks/int8_aware.py --data CLIPS --calib LR_CLIPS --eval OTHER_CLIPS \
        [--model PACKAGE] [--steps 600] > docs/results/int8-aware.md

Two students go on from the same weights for the same steps on the same crops: one in float, one
computing in int8 (`int8_last=1`). Both are exported in float and in int8, once with the first and
the last layer left in float and once with none. The ranges of the one are calibrated, those of the
other were learnt. `vsrc eval` measures on clips that neither learning nor calibration has seen.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import replace
from pathlib import Path

from vsrc.calibration import CalibrationConfig, calibrate
from vsrc.calibration.calibration_config import Method
from vsrc.compressor.distill import distill
from vsrc.compressor.networks.loading.packaged import from_package
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.quantiser import convolution_paths, edges
from vsrc.export import ExportConfig, export
from vsrc.runtime.package import open_package
from vsrc.runtime.quality.eval_config import EvalConfig
from vsrc.runtime.quality.evaluation import evaluate
from vsrc.runtime.shipped_models import shipped

METHODS: tuple[Method, ...] = ("minmax", "percentile", "mse")
HEADER = "| stays float | trained | ranges | fp32 Y dB | int8 Y dB | int8 - fp32, dB |"


def main() -> None:
    options = _options()
    model = options.model or shipped("edge-s")
    found = convolution_paths(from_package(open_package(model)))
    print("# Int8: trained for it, and not\n")
    print(
        f"`python benchmarks/int8_aware.py --steps {options.steps}`: {model.name}, trained for so"
    )
    print("many steps more.\n")
    print(f"{HEADER}\n|---|---|---|---:|---:|---:|")
    config = DistillConfig(
        student=str(model),
        data=(options.data,),
        cache=options.cache,
        objective="none",
        steps=options.steps,
        batch=8,
        targets="centre",
        learning_rate=1e-4,
        warmup=20,
        max_height=540,
        workers=0,
        device="cpu",
        holdout=0.0,
    )
    with tempfile.TemporaryDirectory() as folder:
        plain = distill(replace(config, output=Path(folder) / "float.vsrc"))
        export(ExportConfig(plain, halves=False))
        for number, float_layers in enumerate((edges(found), ())):
            for method in METHODS:
                _calibrate(plain, method, float_layers, options.calib)
                _print_row(float_layers, "in float", method, plain, options.eval)
            output = Path(folder) / f"aware{number}.vsrc"
            aware = distill(
                replace(config, int8_last=1.0, float_layers=float_layers, output=output)
            )
            export(ExportConfig(aware, halves=False))
            _print_row(float_layers, "in int8", "learnt", aware, options.eval)


def _calibrate(package: Path, method: Method, float_layers: tuple[str, ...], clips: Path) -> None:
    config = CalibrationConfig(
        package,
        (clips,),
        method=method,
        windows=100,
        min_psnr=0.0,
        float_layers=float_layers,
        overwrite=True,
    )
    calibrate(config)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="trained on; HR")
    parser.add_argument("--calib", type=Path, required=True, help="calibrated on; LR")
    parser.add_argument("--eval", type=Path, required=True, help="judged on; HR")
    parser.add_argument("--model", type=Path, help="package to go on from; default edge-s")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--cache", type=Path)
    return parser.parse_args()


def _print_row(
    float_layers: tuple[str, ...], trained: str, ranges: str, package: Path, data: Path
) -> None:
    config = ExportConfig(
        package, precision="int8", int8_with="fp32", halves=False, allow_lossy=True, overwrite=True
    )
    export(config)
    whole, small = (_psnr(package, data, precision) for precision in ("fp32", "int8"))
    where = " and ".join(float_layers) or "nothing"
    numbers = f"{whole:.3f} | {small:.3f} | {small - whole:+.3f}"
    print(f"| {where} | {trained} | {ranges} | {numbers} |", flush=True)


def _psnr(package: Path, data: Path, precision: str) -> float:
    config = EvalConfig(data=data, models=(package,), metrics=("psnr",), precision=precision)
    value = evaluate(config).rows[-1].mean["psnr_y"]
    assert value is not None
    return value


if __name__ == "__main__":
    main()
