"""Overview of all networks of vsrc and of the shipped packages.

The rows are stored here so that listing them needs no torch and no time; tests compare each
number with the network itself, and `graphs` with the output of `vsrc export`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from vsrc.runtime.package import open_package
from vsrc.runtime.shipped_models import list_shipped, shipped
from vsrc.runtime.spec import Degradation, GraphRole, Quality

_ANY = tuple(range(1, 17))
_X4 = (4,)
_SHUFFLED = (1, 2, 3, 4, 8)
"""Scales of the upsampler of EDSR: one step of 3, or steps of 2."""

_WHOLE: tuple[GraphRole, ...] = ("whole",)
_HALVES: tuple[GraphRole, ...] = ("whole", "encode", "fuse")


@dataclass(frozen=True)
class ZooNetwork:
    """One network of the table, built with default arguments.

    Attributes:
        name: Name for `create`.
        parameters: Number of parameters in deployed form.
        kmac_per_lr_pixel: Multiply-accumulates (in 1e3) for one output frame, divided by H * W.
        window: Frames fed at once.
        time_scale: 2 when the network also doubles the frame rate.
        scale: SR/LR side ratio of these numbers.
        scales: Supported ratios.
        colour: `rgb`, or `y` for luma only.
        graphs: Graphs that `vsrc export` writes; none for a network that is only a teacher.
        ships: Whether weights ship with vsrc.
    """

    name: str
    parameters: int
    kmac_per_lr_pixel: float
    window: int = 1
    time_scale: int = 1
    scale: int = 4
    scales: tuple[int, ...] = _ANY
    colour: Literal["rgb", "y"] = "rgb"
    graphs: tuple[GraphRole, ...] = _WHOLE
    ships: bool = False


ROWS = (
    ZooNetwork("edvr-xs", 166_187, 438.3, window=5, scales=_X4, graphs=_HALVES),
    ZooNetwork("edvr-m", 3_300_131, 8_451.6, window=5, scales=_X4, graphs=_HALVES),
    ZooNetwork("edvr-l", 20_633_827, 36_727.4, window=5, scales=_X4, graphs=_HALVES),
    ZooNetwork("stdan", 8_292_843, 7_286.0, window=4, time_scale=2, scales=_X4, graphs=_HALVES),
    ZooNetwork("imdn", 715_176, 709.8),
    ZooNetwork("imdn-as", 752_104, 753.1),
    ZooNetwork("imdn-rtc", 20_190, 19.9, scale=2),
    ZooNetwork("imdn-rte", 89_748, 22.8, scale=2),
    ZooNetwork("rlfn", 543_740, 517.6),
    ZooNetwork("mobile-rrn", 474_288, 473.5, window=2),
    ZooNetwork("etds", 54_112, 53.9),
    ZooNetwork("fsrcnn", 24_683, 24.3),
    ZooNetwork("fsrcnn-teacher", 98_728, 119.6, colour="y", graphs=()),
    ZooNetwork("edsr", 43_089_923, 50_252.5, scales=_SHUFFLED),
    ZooNetwork("rcan", 15_592_355, 15_917.8, scales=_SHUFFLED),
    ZooNetwork("san", 15_822_444, 16_433.9, scales=_SHUFFLED),
    ZooNetwork("vespcn", 878_787, 863.5, window=3),
    ZooNetwork("vsrnet", 272_577, 4_526.5, window=5, colour="y"),
    ZooNetwork("fastdvdnet", 2_574_089, 851.1, window=5, scales=_SHUFFLED, graphs=_HALVES),
    ZooNetwork("edge", 64_464, 64.2, window=5),
    ZooNetwork("edge-s", 64_464, 64.2, window=5),
    ZooNetwork("edge-m", 119_952, 119.5, window=5),
    ZooNetwork("edge-l", 442_608, 441.8, window=5),
)


@dataclass(frozen=True)
class ShippedLatency:
    """Latency of a shipped package, measured by `vsrc bench`.

    Attributes:
        session: Backend and precision ("ort-cpu fp32").
        threads: Number of CPU threads.
        height_px: Height of the LR frame, pixels.
        width_px: Width of the LR frame, pixels.
        p50_ms: Median latency of a frame, ms.
        machine: Name of the processor.
    """

    session: str
    threads: int
    height_px: int
    width_px: int
    p50_ms: float
    machine: str


@dataclass(frozen=True)
class ShippedPackage:
    """A package that ships with vsrc.

    Attributes:
        name: Name accepted by `--model` and `--teacher` instead of a path.
        network: Name in the table.
        scale: SR/LR side ratio.
        degradation: Degradation of its training data.
        graphs: Names of the graphs in it.
        teacher: Name of its teacher; None without one.
        licence: Licence of the weights.
        quality: Quality measurements.
        latency: Latency of each graph.
    """

    name: str
    network: str
    scale: int
    degradation: Degradation
    graphs: tuple[str, ...]
    teacher: str | None
    licence: str
    quality: tuple[Quality, ...]
    latency: tuple[ShippedLatency, ...]


@dataclass(frozen=True)
class Zoo:
    """All networks and shipped packages.

    Attributes:
        networks: Networks, in the order of the table.
        packages: Shipped packages, by name.
    """

    networks: tuple[ZooNetwork, ...]
    packages: tuple[ShippedPackage, ...]


def zoo() -> Zoo:
    """List every network of the table and every package that ships with vsrc.

    Raises:
        SpecError: A shipped package is damaged.
    """
    packages = tuple(_package(name) for name in list_shipped())
    filled = {package.network for package in packages}
    return Zoo(tuple(replace(row, ships=row.name in filled) for row in ROWS), packages)


def _package(name: str) -> ShippedPackage:
    package = open_package(shipped(name))
    spec = package.spec
    return ShippedPackage(
        name=name,
        network=spec.network.name,
        scale=spec.network.scale,
        degradation=spec.degradation,
        graphs=tuple(spec.graphs),
        teacher=spec.provenance.teacher,
        licence=spec.provenance.licence,
        quality=spec.quality,
        latency=tuple(map(_latency, sorted(package.path.glob("reports/bench-*.json")))),
    )


def _latency(path: Path) -> ShippedLatency:
    report = json.loads(path.read_text(encoding="utf-8"))
    return ShippedLatency(
        session=report["subject"]["session"],
        threads=report["subject"]["threads"],
        height_px=report["feed"]["height_px"],
        width_px=report["feed"]["width_px"],
        p50_ms=report["latency_ms"]["p50"],
        machine=report["machine"]["cpu"] or report["machine"]["architecture"],
    )
