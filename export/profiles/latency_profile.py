"""`vsrc bench --profile`: measure networks of the `edge` family on this device."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from vsrc.export.config import EXPORT_MODULES
from vsrc.export.profiles.profile_graphs import write_profile_packages
from vsrc.runtime.installation import require_installed
from vsrc.runtime.latency.profile.config import ProfileConfig, ProfileProgress
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile
from vsrc.runtime.latency.profile.runs import measure_profile


def profile_family(
    config: ProfileConfig, *, progress: Callable[[ProfileProgress], None] = lambda _step: None
) -> LatencyProfile:
    """Measure sizes of the `edge` family on this device.

    Args:
        config: Sizes, shapes, backend and duration of the measurement.
        progress: Called at each step.

    Raises:
        MissingDependencyError: A package that writes or runs graphs is not installed.
        VsrcError: A graph cannot be run, or does not accept a shape.
    """
    require_installed("vsrc bench --profile", *EXPORT_MODULES, extra="export")
    with tempfile.TemporaryDirectory(prefix="vsrc-profile.") as folder:
        packages = write_profile_packages(config, Path(folder), progress=progress)
        return measure_profile(packages, config, progress=progress)
