"""Backends of the CPU beside each other: CPU time of a window, and how far the pictures differ.

    python benchmarks/backends.py [PACKAGE ...] [--rounds 15] > docs/results/backends.md

All sessions of a package take turns, on one thread and the same window of 320x180. OpenVINO's
plugin for ONNX Runtime is in the table where it offers a device, bf16 where the CPU multiplies it.
"""

from __future__ import annotations

import argparse
import statistics
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np

from vsrc.runtime.backends.opening import open_session
from vsrc.runtime.backends.picture_gate import LEAST_DB, LEAST_GAIN_DB, compare_pictures
from vsrc.runtime.errors import VsrcError
from vsrc.runtime.machine import this_machine
from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import list_shipped, shipped
from vsrc.runtime.windows.session import Session

SIZE = (180, 320)
SESSIONS = (
    ("ort", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
    ("ort:openvino", "fp32"),
    ("ort:openvino", "bf16"),
    ("ort", "int8-cpu"),
    ("openvino", "int8-cpu"),
)
PACKAGES = ("onnxruntime", "openvino", "onnxruntime-ep-openvino")


@dataclass(eq=False)
class Row:
    """A session of a package, and what was measured of it."""

    session: Session
    ms: list[float] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="*", default=sorted(list_shipped()))
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    machine = this_machine()
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    print("# Backends of the CPU\n")
    print(f"Written by `benchmarks/backends.py`: {versions}. {machine.cpu}, one thread, one window")
    print(
        f"of {SIZE[1]}x{SIZE[0]}; CPU time, minimum (median) of {arguments.rounds} rounds in turns."
    )
    print("The machine was busy with other work: the times are for ratios.\n")
    print(
        "| network | session | ms | to ort fp32 | dB to ort fp32 | dB lost against the original |"
    )
    print("|---|---|---:|---:|---:|---:|")
    skipped: dict[str, str] = {}
    for name in arguments.packages:
        measure(name, arguments.rounds, skipped)
    print(
        "\nPictures are compared on a window of the sample clip, as the gate does when a session is"
    )
    limits = f"{LEAST_DB:.0f} dB to fp32, {LEAST_GAIN_DB} dB against ground truth"
    print(f"opened; its limits are {limits}.\n")
    for label, why in skipped.items():
        print(f"Not measured: `{label}`: {why}")


def measure(name: str, rounds: int, skipped: dict[str, str]) -> None:
    path = shipped(name) if name in list_shipped() else name
    package, rows = open_package(path), []
    with ExitStack() as stack:
        for backend, precision in SESSIONS:
            try:
                session = open_session(package, backend=backend, precision=precision, threads=1)
            except VsrcError as error:
                skipped[f"{backend} {precision}"] = str(error)
                continue
            rows.append(Row(stack.enter_context(closing(session))))
        shape = (1, package.spec.network.window, *SIZE, 3)
        lr = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        for row in rows:
            row.session(lr)
        for _ in range(rounds):
            for row in rows:
                began = time.process_time()
                row.session(lr)
                row.ms.append(1000 * (time.process_time() - began))
        print_rows(name, rows)


def print_rows(name: str, rows: list[Row]) -> None:
    first = min(rows[0].ms)
    for row in rows:
        check = compare_pictures(row.session, rows[0].session)
        least = min(row.ms)
        near = "equal" if check.psnr_db == float("inf") else f"{check.psnr_db:.1f}"
        gain = "" if row is rows[0] else f"{check.gain_db:+.3f}"
        print(
            f"| {name} | {row.session.label} | {least:.1f} ({statistics.median(row.ms):.1f}) "
            f"| {least / first:.2f} | {near} | {gain} |"
        )


if __name__ == "__main__":
    main()
