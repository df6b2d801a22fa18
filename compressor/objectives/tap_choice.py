"""Choose the features of a network that an objective uses by default."""

from __future__ import annotations

from collections.abc import Sequence

from vsrc.runtime.spec import NetworkSpec


def choose_taps(spec: NetworkSpec, *, depths: Sequence[float], named: str = "") -> tuple[str, ...]:
    """Choose module paths, shallow to deep.

    Args:
        spec: Spec of the network.
        depths: Positions along the network's `stages`: 0 is the first, 1 the last.
        named: Module paths that the user gave instead, comma separated, as many as depths.

    Raises:
        ValueError: The network names no stages, or the user gave another number of paths.
    """
    if named:
        paths = tuple(path.strip() for path in named.split(","))
        if len(paths) != len(depths):
            raise ValueError(f"{named!r} has {len(paths)} taps of {spec.name}, not {len(depths)}")
        return paths
    if not spec.stages:
        raise ValueError(
            f"{spec.name} names no stages in its spec: give module paths with the "
            "objective's options student_taps and teacher_taps"
        )
    return tuple(spec.stages[round(depth * (len(spec.stages) - 1))] for depth in depths)
