"""Which features of a network an objective looks at, where the user names none."""

from __future__ import annotations

from collections.abc import Sequence

from vsrc.runtime.spec import NetworkSpec


def choose_taps(spec: NetworkSpec, *, depths: Sequence[float], named: str = "") -> tuple[str, ...]:
    """Module paths, shallow to deep.

    Args:
        spec: Of the network.
        depths: Where along the network's `stages`: 0 the first, 1 the last.
        named: Module paths that the user gave instead, comma separated, as many as depths.

    Raises:
        ValueError: The network names no stages, or the user gave another number of paths.
    """
    if named:
        paths = tuple(path.strip() for path in named.split(","))
        if len(paths) != len(depths):
            raise ValueError(f"{named!r} names {len(paths)} taps of {spec.name}, not {len(depths)}")
        return paths
    if not spec.stages:
        raise ValueError(
            f"{spec.name} names no stages in its spec: say which modules to look at with the "
            "objective's options student_taps and teacher_taps"
        )
    return tuple(spec.stages[round(depth * (len(spec.stages) - 1))] for depth in depths)
