"""Export graphs of one precision, of every precision, or an engine."""

from __future__ import annotations

from pathlib import Path

from vsrc.export.config import EXPORT_MODULES, FOREIGN_MODULES, ExportConfig, ExportProgress
from vsrc.export.foreign.form import FOREIGN
from vsrc.export.runs.onnx_export import export_onnx
from vsrc.export.runs.result import ExportResult
from vsrc.runtime.installation import require_installed
from vsrc.runtime.package import SPEC_FILE, open_package


def export(config: ExportConfig, progress: ExportProgress = lambda _: None) -> ExportResult:
    """Write and check graphs, or an engine, and add them to the package.

    A network in two parts also gets encode and fuse graphs (`GraphSpec.role`), unless disabled.
    Either all graphs of a precision are written or none.

    Args:
        config: Export settings.
        progress: Called at each step.

    Raises:
        SpecError: The package is damaged, has a graph already and `overwrite` is off, lacks the
            ranges for int8, or names a network outside the table and `allow_code` is off.
        MismatchError: The network cannot be exported.
        GateError: A graph differs too much from torch; nothing is written.
        MissingDependencyError: A required package is not installed.
        ValueError: The network does not accept the shape.
    """
    if config.format != "onnx":
        from vsrc.export.runs.engine_export import export_engine

        return export_engine(config, progress)
    modules = FOREIGN_MODULES if _is_foreign(config.package) else EXPORT_MODULES
    require_installed("vsrc export", *modules, extra="export")
    if config.precision == "auto":
        from vsrc.export.runs.all_precisions import export_all

        return export_all(config, progress)
    return export_onnx(config, progress)


def _is_foreign(path: Path) -> bool:
    """Whether a package was made from a foreign graph, which needs no torch."""
    if not (path / SPEC_FILE).is_file():
        return False
    return open_package(path).spec.network.name.startswith(FOREIGN)
