"""`vsrc bench --profile`: make networks of the `edge` family and measure them on this device."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from vsrc.export.config import EXPORT_MODULES
from vsrc.export.profiles.profile_graphs import write_profile_packages
from vsrc.runtime.installation import require_installed
from vsrc.runtime.latency.profile import LatencyProfile
from vsrc.runtime.latency.profile_config import ProfileConfig, ProfileProgress
from vsrc.runtime.latency.profile_runs import measure_profile


def profile_family(
    config: ProfileConfig, *, progress: Callable[[ProfileProgress], None] = lambda _step: None
) -> LatencyProfile:
    """Measure sizes of the `edge` family on this device.

    Args:
        config: Which sizes and shapes, by what, how often and how long.
        progress: Told of each step.

    Raises:
        MissingDependencyError: What makes or runs the graphs is not installed.
        VsrcError: A graph cannot be run, or takes no frames of a shape.
    """
    require_installed("vsrc bench --profile", *EXPORT_MODULES, extra="export")
    with tempfile.TemporaryDirectory(prefix="vsrc-profile.") as folder:
        packages = write_profile_packages(config, Path(folder), progress=progress)
        return measure_profile(packages, config, progress=progress)
