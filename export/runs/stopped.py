"""Report what an interrupted export has added to a package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from vsrc.export.config import ExportConfig
from vsrc.runtime.errors import SpecError, StoppedError
from vsrc.runtime.package import open_package


@contextmanager
def open_stoppable(config: ExportConfig) -> Iterator[None]:
    """Context for an export: if Ctrl+C or SIGTERM ends it, complete files are reported.

    Raises:
        StoppedError: Instead of KeyboardInterrupt, if something is complete.
    """
    before = _complete(config)
    try:
        yield
    except (KeyboardInterrupt, StoppedError) as stop:
        new = sorted(_complete(config) - before)
        if not new:
            raise
        what = str(stop).partition(";")[0] or "interrupted"
        raise StoppedError(f"{what}; {_kept(config, [name for name, _ in new])}") from None


def _complete(config: ExportConfig) -> set[tuple[str, str]]:
    """Names, with hashes or dates, of the graphs and engines of the package."""
    try:
        package = open_package(config.package)
    except SpecError:  # `export` reports it, after what is to be checked first
        return set()
    graphs = {(name, graph.sha256) for name, graph in package.spec.graphs.items()}
    engines = package.path.glob("engines/*.engine")
    return graphs | {(path.name, str(path.stat().st_mtime_ns)) for path in engines}


def _kept(config: ExportConfig, names: list[str]) -> str:
    words = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} complete and saved"
    # Existing engines, and graphs of `auto`, are kept; int8 is calibrated on the existing fp32.
    has_int8 = any("int8" in name for name in names)
    goes_on = (
        config.format != "onnx"
        or (config.precision == "auto" and not (config.calib and has_int8))
        or (names == ["fp32"] and config.precision[:4] == "int8")
    )
    if goes_on and not config.overwrite:
        return f"{words}; run the same command to resume"
    return f"{words}; to export the others, run the same command with --overwrite"
