"""A latency profile as text."""

from __future__ import annotations

from vsrc.runtime.latency.contention import LOADED
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile, ProfilePoint


def profile_text(profile: LatencyProfile) -> str:
    """Format a line for each point, and the leave-one-out errors."""
    head = (
        f"edge x{profile.scale} over {profile.window_frames} frames on {profile.session}, "
        f"{profile.threads} thread{'' if profile.threads == 1 else 's'}, "
        f"{profile.machine.cpu or profile.machine.architecture}"
    )
    names = ("encoded", "features", "blocks", "LR shape", "params", "GMAC", "median ms", "95 %")
    rows = [names, *map(_cells, profile.points)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([head, "", *lines, "", *_accuracy(profile), *_warn_of_load(profile)])


def _cells(point: ProfilePoint) -> tuple[str, ...]:
    size, ends = point.size, point.interval_ms
    return (
        str(size.encoded),
        str(size.features),
        str(size.blocks),
        f"{point.height_px}x{point.width_px}",
        f"{point.parameters:,}",
        f"{point.gmac_per_frame:.3g}",
        f"{point.median_ms:.2f}",
        "-" if ends is None else f"{ends.low:.2f} to {ends.high:.2f}",
    )


def _accuracy(profile: LatencyProfile) -> list[str]:
    if not profile.left_out:
        return ["Too few sizes to estimate the error of predictions."]
    return [
        f"Left out one at a time, the {error.points} sizes at {error.height_px}x{error.width_px} "
        "are "
        f"predicted to {error.median:.1%} (median) and {error.largest:.1%} (worst)."
        for error in profile.left_out
    ]


def _warn_of_load(profile: LatencyProfile) -> list[str]:
    load, cores = profile.machine.load_average, profile.machine.cores
    if load is None or load <= LOADED * cores:
        return []
    words = f"Warning: other work was running (load average {load:.1f})"
    return [f"{words}: sizes remain comparable, but all would be faster on an idle machine."]
