"""Text form of the zoo: a table of the networks, or a paragraph of each in a narrow terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from vsrc.compressor.zoo import ShippedLatency, ShippedPackage, Zoo, ZooNetwork
from vsrc.runtime.spec import Quality
from vsrc.runtime.text.size_text import format_shape

_LEAST_WIDTH, _LARGEST_WIDTH = 40, 100
_COLUMNS = ("network", "parameters", "kMAC/px", "window", "time", "scales", "colour", "graphs")
_TO_THE_RIGHT = frozenset(("parameters", "kMAC/px", "window"))


def zoo_text(zoo: Zoo, *, width: int) -> str:
    """Format the networks, then the packages.

    Args:
        zoo: What to list.
        width: Columns of the terminal.
    """
    width = min(max(width, _LEAST_WIDTH), _LARGEST_WIDTH)
    blocks = (
        _networks(zoo.networks, width),
        _legend(zoo.networks, width),
        *_packages(zoo.packages, width),
    )
    return "\n\n".join("\n".join(lines) for lines in blocks)


def _networks(networks: Sequence[ZooNetwork], width: int) -> list[str]:
    rows = [_COLUMNS, *map(_cells, networks)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [_line(row, widths) for row in rows]
    if max(map(len, lines)) <= width:
        return lines
    texts = [
        f"{name}: {parameters} parameters, {kmac} kMAC/px, window {window}, time {time}, scales "
        f"{scales}, {colour}, graphs {graphs}"
        for name, parameters, kmac, window, time, scales, colour, graphs in map(_cells, networks)
    ]
    return [line for text in texts for line in _wrap(text, width, indent="  ")]


def _cells(row: ZooNetwork) -> tuple[str, ...]:
    return (
        f"{row.name} *" if row.ships else row.name,
        f"{row.parameters:,}",
        f"{row.kmac_per_lr_pixel:,.1f}",
        str(row.window),
        f"x{row.time_scale}",
        _ranges(row.scales),
        row.colour,
        _graphs(row.graphs),
    )


def _graphs(graphs: Sequence[str]) -> str:
    if not graphs:
        return "none"
    return "whole" if len(graphs) == 1 else "whole+2"


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


def _legend(networks: Sequence[ZooNetwork], width: int) -> list[str]:
    others = ", ".join(f"{row.name} x{row.scale}" for row in networks if row.scale != 4)
    lines = {
        "*": "its weights ship with vsrc",
        "parameters, kMAC/px": f"as made without arguments: x4 ({others})",
        "kMAC/px": "1000 multiply-accumulates of an output frame per LR pixel",
        "window, time": "frames fed at once; x2 also doubles the frame rate",
        "scales": "supported SR/LR side ratios",
        "graphs": "what vsrc export writes: the whole network; +2: also its encode and fuse "
        "graphs; none: a teacher only",
    }
    column = max(map(len, lines)) + 2
    return [
        line
        for name, text in lines.items()
        for line in _wrap(f"{name.ljust(column)}{text}", width, indent=" " * column)
    ]


def _packages(packages: Sequence[ShippedPackage], width: int) -> list[list[str]]:
    if not packages:
        return [["No package ships with this vsrc."]]
    lines = ["Packages that ship with vsrc"]
    for package in packages:
        teacher = f"teacher {package.teacher}" if package.teacher else "no teacher"
        graphs = " ".join(package.graphs) or "none (vsrc export writes them)"
        lines.append(f"  {package.name}: {package.network} x{package.scale}, {teacher}")
        texts = [
            f"degradation {package.degradation}, licence {package.licence}, graphs {graphs}",
            *_quality_lines(package.quality),
            *map(_latency_line, package.latency),
        ]
        lines += [line for text in texts for line in _wrap(f"    {text}", width, indent=" " * 6)]
    protocols = _protocols([q.protocol for package in packages for q in package.quality])
    return [lines, *(_wrap(f"  Measured: {each}", width, indent="  ") for each in protocols)]


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


def _wrap(text: str, width: int, *, indent: str) -> list[str]:
    """Wrap a line; the following ones get the indent. Words are not broken."""
    return textwrap.wrap(
        text,
        width,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
