"""Text form of the zoo, at most 100 columns where names allow."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from vsrc.compressor.zoo import ShippedLatency, ShippedPackage, Zoo, ZooNetwork
from vsrc.runtime.spec import Quality
from vsrc.runtime.text.size_text import format_shape

WIDTH = 100

_COLUMNS = ("network", "parameters", "kMAC/px", "window", "time", "scales", "colour", "graphs", "")
_TO_THE_RIGHT = frozenset(("parameters", "kMAC/px", "window"))


def zoo_text(zoo: Zoo) -> str:
    """Format a table of the networks, then the packages."""
    rows = [_COLUMNS, *map(_cells, zoo.networks)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    return "\n".join([*lines, "", *_legend(zoo.networks), "", *_packages(zoo.packages)])


def _cells(row: ZooNetwork) -> tuple[str, ...]:
    return (
        row.name,
        f"{row.parameters:,}",
        f"{row.kmac_per_lr_pixel:,.1f}",
        str(row.window),
        f"x{row.time_scale}",
        _ranges(row.scales),
        row.colour,
        " ".join(row.graphs) or "none, teacher only",
        "weights" if row.ships else "",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = [
        cell.rjust(width) if name in _TO_THE_RIGHT else cell.ljust(width)
        for name, cell, width in zip(_COLUMNS, cells, widths, strict=True)
    ]
    return "  ".join(padded).rstrip()


def _ranges(scales: Sequence[int]) -> str:
    """`1-4, 8` from 1, 2, 3, 4, 8."""
    runs: list[list[int]] = []
    for scale in scales:
        if runs and runs[-1][-1] == scale - 1:
            runs[-1].append(scale)
        else:
            runs.append([scale])
    return ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def _legend(rows: Sequence[ZooNetwork]) -> list[str]:
    others = ", ".join(f"{row.name} x{row.scale}" for row in rows if row.scale != 4)
    return [
        f"parameters, kMAC/px  as made without arguments: x4 ({others})",
        "kMAC/px              1000 multiply-accumulates of an output frame per LR pixel",
        "window, time         frames fed at once; x2 also doubles the frame rate",
        "scales               supported SR/LR side ratios",
        "graphs               what vsrc export writes: the whole network; encode and fuse graphs",
        "weights              ship with vsrc",
    ]


def _packages(packages: Sequence[ShippedPackage]) -> list[str]:
    if not packages:
        return ["No package ships with this vsrc."]
    lines = ["Packages that ship with vsrc"]
    for package in packages:
        teacher = f"teacher {package.teacher}" if package.teacher else "no teacher"
        graphs = " ".join(package.graphs) or "none (vsrc export writes them)"
        lines += [
            f"  {package.name}: {package.network} x{package.scale}, {teacher}",
            f"    degradation {package.degradation}, licence {package.licence}, graphs {graphs}",
            *(f"    {line}" for line in _quality_lines(package.quality)),
            *(f"    {_latency_line(timing)}" for timing in package.latency),
        ]
    protocols = _protocols([q.protocol for package in packages for q in package.quality])
    return lines + [line for protocol in protocols for line in ("", *_wrap(protocol))]


def _protocols(protocols: Sequence[str]) -> list[str]:
    """Each protocol once: those that differ in the scale, which begins them, are one."""
    scales: dict[str, dict[str, None]] = {}
    for protocol in protocols:
        scale, _, rest = protocol.partition(", ")
        scales.setdefault(rest, {})[scale] = None
    return [", ".join(filter(None, (" and ".join(each), rest))) for rest, each in scales.items()]


def _quality_lines(quality: Sequence[Quality]) -> list[str]:
    """A line for each set of clips."""
    by_data: dict[str, list[str]] = {}
    for row in quality:
        value = f"{row.value:.2f}" if row.value >= 10 else f"{row.value:.4f}"
        by_data.setdefault(row.data, []).append(f"{row.metric} {value}")
    return [f"{data}: {', '.join(cells)}" for data, cells in by_data.items()] or ["not measured"]


def _latency_line(timing: ShippedLatency) -> str:
    size = format_shape(timing.height_px, timing.width_px)
    threads = f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
    return (
        f"{timing.p50_ms:.1f} ms per frame of {size} (median), {timing.session}, {threads}, "
        f"{timing.machine}"
    )


def _wrap(protocol: str) -> list[str]:
    return textwrap.wrap(
        f"Measured: {protocol}", WIDTH, initial_indent="  ", subsequent_indent="  "
    )
