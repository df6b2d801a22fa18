"""Measure the packages of a latency profile and build the profile from the samples."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np

from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.config import ProfileConfig, ProfileProgress
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile, ProfilePoint, with_left_out
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.machine import machine_null_reasons, this_machine
from vsrc.runtime.package import open_package
from vsrc.runtime.processes.fresh_process import ask
from vsrc.runtime.report.interval import LEAST_RUNS, interval_of
from vsrc.runtime.schema import from_json
from vsrc.runtime.spec import NetworkSpec


def measure_profile(
    packages: Sequence[Path],
    config: ProfileConfig,
    *,
    progress: Callable[[ProfileProgress], None] = lambda _step: None,
) -> LatencyProfile:
    """Time a package for each size of the configuration, in a fresh process.

    Args:
        packages: Packages in the order of `config.sizes`.
        config: Shapes, backend, number of rounds and durations.
        progress: Called after each package.

    Raises:
        VsrcError: A package cannot be run, or does not accept frames of a shape.
    """
    started, machine = datetime.now(timezone.utc), this_machine()
    request = {
        "packages": [str(path) for path in packages],
        "shapes": config.shapes,
        "backend": config.backend,
        "device": config.device,
        "precision": config.precision,
        "threads": config.threads,
        "rounds": config.rounds,
        "seconds": config.seconds,
    }
    answer = ask(
        "vsrc.runtime.latency.profile.child",
        request,
        lambda step: progress(ProfileProgress(**step)),
    )
    networks = [open_package(path).spec.network for path in packages]
    points = tuple(_points(config, networks, answer["rounds_ms"]))
    rates = from_json(Rates, answer["rates"], where="measuring process")
    profile = LatencyProfile(
        started_utc=started.isoformat(timespec="seconds"),
        scale=config.scale,
        window_frames=config.window,
        session=answer["session"],
        precision=config.precision,
        threads=rates.threads,
        versions=answer["versions"],
        machine=machine,
        rates=rates,
        points=points,
        null_reasons=machine_null_reasons(machine) | _explain_missing_intervals(points),
    )
    return replace(profile, left_out=with_left_out(profile))


def _points(
    config: ProfileConfig,
    networks: Sequence[NetworkSpec],
    rounds_ms: Any,  # noqa: ANN401  JSON
) -> list[ProfilePoint]:
    return [
        _point(size, shape, network, values)
        for size, network, of_size in zip(config.sizes, networks, rounds_ms, strict=True)
        for shape, values in zip(config.shapes, of_size, strict=True)
    ]


def _point(
    size: EdgeSize,
    shape: tuple[int, int],
    network: NetworkSpec,
    rounds_ms: list[list[float]],
) -> ProfilePoint:
    height, width = shape
    return ProfilePoint(
        size=size,
        height_px=height,
        width_px=width,
        parameters=network.parameters,
        gmac_per_frame=network.gmac_per_lr_pixel * height * width,
        median_ms=float(np.median(np.concatenate(rounds_ms))),
        interval_ms=interval_of(rounds_ms) if len(rounds_ms) >= LEAST_RUNS else None,
        rounds_ms=tuple(map(tuple, rounds_ms)),
    )


def _explain_missing_intervals(points: Sequence[ProfilePoint]) -> dict[str, str]:
    return {
        f"points.{index}.interval_ms": f"needs {LEAST_RUNS} rounds; there were "
        f"{len(point.rounds_ms)}"
        for index, point in enumerate(points)
        if point.interval_ms is None
    }
