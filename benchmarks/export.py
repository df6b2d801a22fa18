"""Every precision of a student that ships: agreement with torch, size, time, and what was built.

    python benchmarks/export.py --calib CLIPS [--windows 100] [NAME ...] > docs/results/export.md

Each student is calibrated on the clips and exported in all precisions, as `vsrc export --precision
auto` does; then TensorRT for RTX builds an engine of each graph for NVIDIA, for any size from
90x160 to 360x640. Agreement is before rounding to 8 bits, at the worst of the sizes that export
tries; gain is the change of PSNR against ground truth, negative for a loss. Milliseconds are
medians of precisions that take turns.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from vsrc.calibration.calibrating import calibrate
from vsrc.calibration.calibration_config import CalibrationConfig
from vsrc.export.config import ExportConfig
from vsrc.export.runs.exporting import export
from vsrc.export.runs.precision_choice import PrecisionCandidate
from vsrc.export.runs.result import ExportResult
from vsrc.runtime.dependencies import find_version
from vsrc.runtime.shipped_models import shipped
from vsrc.runtime.text.decibels import format_gain

SHAPE = ((90, 160), (180, 320), (360, 640))
HEAD = (
    "| student | precision | dB to torch | gain, dB | graph, kB | ms | x fp32 "
    "| engine, kB | built, s |"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["edge-s"])
    parser.add_argument("--calib", type=Path, nargs="+", required=True)
    parser.add_argument("--windows", type=int, default=100)
    options = parser.parse_args()
    tools = {name: find_version(name) for name in ("torch", "onnxruntime", "tensorrt_rtx")}
    print("# Export: what each precision keeps\n\nWritten by `benchmarks/export.py`;")
    print(", ".join(f"{name} {version}" for name, version in tools.items()), end="; ")
    print(f"{len(os.sched_getaffinity(0))} CPU cores, frames of 320x180.\n")
    print(HEAD)
    print("|---" * 9 + "|")
    notes = [measured(name, options.calib, options.windows) for name in options.names]
    print("\n" + "\n".join(notes))


def measured(name: str, clips: list[Path], windows: int) -> str:
    """Print the rows of a student; what took how long, in words."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(shutil.copytree(shipped(name), Path(folder) / f"{name}.vsrc"))
        started = time.process_time()
        plain = ExportConfig(path, overwrite=True)
        export(plain)
        exported = time.process_time()
        calibrate(CalibrationConfig(path, clips=tuple(clips), windows=windows, overwrite=True))
        calibrated = time.process_time()
        result = export(dataclasses.replace(plain, precision="auto"))
        assert result.choice is not None
        base = next(one for one in result.choice.candidates if one.precision == "fp32")
        for one in result.choice.candidates:
            print(row(name, one, base, engines(path, one)), flush=True)
        spent = [exported - started, calibrated - exported, time.process_time() - calibrated]
        return (
            f"{name}: {spent[0]:.0f} s of processor time for the fp32 graphs and their checks, "
            f"{spent[1]:.0f} s to calibrate on {windows} windows, {spent[2]:.0f} s for all four "
            f"precisions with timing and engines. Recommended on this machine: "
            f"{result.choice.recommended} ({result.choice.reason})."
        )


def engines(path: Path, one: PrecisionCandidate) -> ExportResult | None:
    if one.refused or one.precision == "int8-cpu":
        return None
    config = ExportConfig(path, format="trt-rtx", precision=one.precision, shape=SHAPE)
    return export(config)


def row(
    name: str, one: PrecisionCandidate, base: PrecisionCandidate, built: ExportResult | None
) -> str:
    if one.refused:
        print(f"{name} {one.precision}: {one.refused}", file=sys.stderr)
        return f"| {name} | {one.precision} | refused | | | | | | |"
    assert one.latency_ms is not None
    assert base.latency_ms is not None
    agreement = "equal" if one.psnr_db is None else f"{one.psnr_db:.1f}"
    gain = "" if one.gain_db is None else format_gain(one.gain_db).removesuffix(" dB")
    ratio = one.latency_ms / base.latency_ms
    cells = [name, one.precision, agreement, gain, f"{one.size_bytes / 1e3:.0f}"]
    cells += [f"{one.latency_ms:.1f}", f"{ratio:.2f}", "", ""]
    if built is not None:
        sizes = [f"{each.spec.size_bytes / 1e3:.0f}" for each in built.engines]
        seconds = [f"{each.spec.build_seconds:.1f}" for each in built.engines]
        cells[7:] = [" + ".join(sizes), " + ".join(seconds)]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
