"""Inspect a model package: network, origin, and integrity of its files."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

from vsrc.runtime.errors import SpecError
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import SCHEMA_VERSION, FileSpec, GraphSpec, ModelSpec
from vsrc.runtime.text.size_text import format_shape, size_text

_USUAL = (180, 320)
"""Frame size for which the GMAC are given, LR pixels."""


def inspect_package(path: Path) -> Inspection:
    """Inspect a package; every file is read and its hash checked.

    Raises:
        SpecError: The package does not exist, or its `model.json` cannot be read.
    """
    package = open_package(path)
    spec = package.spec
    files = {"weights": spec.weights, **{f"graph {name}": g for name, g in spec.graphs.items()}}
    states = {label: _state(package, entry) for label, entry in files.items()}
    size_bytes = sum(entry.stat().st_size for entry in path.rglob("*") if entry.is_file())
    file_rows = [(label, f"{_entry_text(files[label])}, {states[label]}") for label in files]
    return Inspection(
        kind="package",
        path=str(path),
        title=f"model package, {size_text(size_bytes)}",
        rows=(*_network_rows(spec), *file_rows, *_quality_rows(spec), *_origin_rows(spec)),
        facts={
            "schema_version": SCHEMA_VERSION,
            "size_bytes": size_bytes,
            **to_json(spec),
            "files": states,
        },
        problems=tuple(state for state in states.values() if state != "intact"),
    )


def _state(package: Package, entry: FileSpec) -> str:
    try:
        package.file(entry)
    except SpecError as error:
        return str(error)
    return "intact"


def _network_rows(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    network = spec.network
    height, width = _USUAL
    gmac = network.gmac_per_lr_pixel * height * width
    frames = "1 frame" if network.window == 1 else f"{network.window} frames at once"
    arguments = ", ".join(f"{key}={value!r}" for key, value in network.arguments.items())
    yield "network", f"{network.name} x{network.scale}, {frames}, {network.colour.upper()}"
    yield "", f"create({network.name!r}{', ' if arguments else ''}{arguments})"
    yield (
        "size",
        f"{network.parameters:,} parameters, {gmac:.3g} GMAC for {format_shape(height, width)}",
    )
    for state in network.state:
        sides = "the frame" if state.stride == 1 else f"1/{state.stride} of the frame's sides"
        yield "state", f"{state.name}: {state.channels} channels of {sides}, from frame to frame"
    pixels = f"halo {network.halo} LR pixels, sizes in multiples of {network.size_multiple}"
    yield "context", pixels + (", doubles the frame rate" if network.time_scale == 2 else "")
    yield "trained for", f"degradation {spec.degradation}"


def _entry_text(entry: FileSpec) -> str:
    text = f"{entry.file}, {size_text(entry.size_bytes)}"
    if not isinstance(entry, GraphSpec):
        return text
    ranges = {"N": entry.batch, "H": entry.height, "W": entry.width}
    shape = ", ".join(
        f"{axis} {low}" if low == high else f"{axis} {low}-{high}"
        for axis, (low, high) in ranges.items()
    )
    agreement = "" if entry.psnr_db is None else f", {entry.psnr_db:.1f} dB to torch"
    if entry.int8_share is not None:
        agreement += f", {100 * entry.int8_share:.0f} % of its work in int8"
    if entry.stale:
        agreement += " (STALE: older than the calibration, not run)"
    lossy = " (LOSSY: it missed its limit)" if entry.lossy else ""
    return f"{text}, {entry.precision}, {entry.io}, opset {entry.opset}, {shape}{agreement}{lossy}"


def _quality_rows(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    """A row for each set of clips, and one for each protocol below those measured by it."""
    label = "quality"
    for protocol, scores in itertools.groupby(spec.quality, lambda score: score.protocol):
        by_data: dict[str, list[str]] = {}
        for score in scores:
            unit = " dB" if score.metric.startswith("psnr") else ""
            by_data.setdefault(score.data, []).append(f"{score.metric} {score.value:.4g}{unit}")
        for data, values in by_data.items():
            yield label, f"{', '.join(values)} on {data}"
            label = ""
        yield "protocol", protocol


def _origin_rows(spec: ModelSpec) -> Iterator[tuple[str, str]]:
    origin = spec.provenance
    if origin.teacher:
        hashed = f" (sha256 {origin.teacher_sha256[:12]})" if origin.teacher_sha256 else ""
        yield "teacher", f"{origin.teacher}{hashed}"
    yield "objective", origin.objective
    if origin.data:
        yield "data", f"{', '.join(origin.data)} ({origin.frames:,} frames)"
    yield "run", f"{origin.steps:,} steps, seed {origin.seed}"
    if origin.command:
        yield "command", origin.command
    if origin.versions:
        yield "versions", ", ".join(f"{name} {value}" for name, value in origin.versions.items())
    yield "licence", origin.licence
