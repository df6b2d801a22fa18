"""Step 4: engines of a tiny student, in every precision, of free and fixed shapes, with halves."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsrc.export.config import AskedPrecision, ExportConfig, Size
from vsrc.export.runs.exporting import export
from vsrc.export.runs.result import ExportResult
from vsrc.export.selftest.context import Context
from vsrc.runtime.backends.device.engine_file import EngineBackend
from vsrc.runtime.backends.device.tensorrt_api import FIRST_STRONG, tensorrt_module
from vsrc.runtime.dependencies import version_numbers
from vsrc.runtime.errors import MissingDependencyError, VsrcError
from vsrc.runtime.text.decibels import format_psnr

_ASSETS = Path(__file__).resolve().parents[2] / "runtime" / "assets"
PACKAGE = "selftest.vsrc"
INT8_FP32_PACKAGE = "selftest-int8-fp32.vsrc"
SHAPES: dict[str, tuple[Size, ...]] = {
    "fixed": ((48, 80),),
    "free": ((32, 48), (48, 80), (96, 160)),
}
USUAL_SIZE: Size = (48, 80)
"""H and W of frames that every engine takes, LR pixels."""


@dataclass(frozen=True)
class _Build:
    """One line of the table of builds."""

    name: str
    package: str
    precision: AskedPrecision


_BUILDS = (
    _Build("fp32", PACKAGE, "fp32"),
    _Build("fp16", PACKAGE, "fp16"),
    _Build("int8-with-fp32", INT8_FP32_PACKAGE, "int8"),
    _Build("int8", PACKAGE, "int8"),
)


def try_builds(context: Context) -> None:
    """Build each engine as `vsrc export` does, with its gates."""
    backend = find_backend(quick=context.quick)
    works: set[str] = set()
    for build in _BUILDS:
        package = work_package(context.work, build.package)
        for kind, shape in SHAPES.items():
            name = f"{build.name}, {kind} shape"
            if reason := _reason_to_skip(build, backend):
                context.add(name, "skipped", reason)
                continue
            config = ExportConfig(
                package,
                format=backend,
                precision=build.precision,
                shape=shape,
                device=context.device,
            )
            with context.attempt(name) as said:
                try:
                    result = export(config)
                except VsrcError as error:
                    raise _with_advice(error, build, works) from error
                said.append(_text(result))
                works.add(build.name)
                _keep(context, build, kind, result)


def find_backend(*, quick: bool) -> EngineBackend:
    """Choose the TensorRT that engines are built with.

    Args:
        quick: Choose the one that builds without a GPU.

    Raises:
        MissingDependencyError: None is installed.
    """
    if quick:
        tensorrt_module("trt-rtx")
        return "trt-rtx"
    try:
        tensorrt_module("trt")
    except MissingDependencyError:
        tensorrt_module("trt-rtx")
        return "trt-rtx"
    return "trt"


def work_package(work: Path, name: str) -> Path:
    """Copy a package of the self-test to where engines may be added, once."""
    target = work / name
    if not target.exists():
        shutil.copytree(_ASSETS / name, target)
    return target


def _reason_to_skip(build: _Build, backend: EngineBackend) -> str:
    version = version_numbers(str(tensorrt_module(backend).__version__))
    if backend == "trt" and build.name == "int8" and version < FIRST_STRONG:
        return "TensorRT 8.6 takes int8 graphs that vsrc export wrote with --int8-with fp32"
    return ""


def _with_advice(error: VsrcError, build: _Build, works: set[str]) -> VsrcError:
    """Name the way that works where int8 with half scales does not build."""
    if build.name == "int8" and "int8-with-fp32" in works:
        return type(error)(f"{error} (int8 graphs of --int8-with fp32 build here)")
    return error


def _text(result: ExportResult) -> str:
    parts = []
    for each in result.engines:
        spec = each.spec
        worst = [one.psnr_db for one in spec.compared if one.psnr_db is not None]
        pictures = format_psnr(min(worst, default=None)) if spec.compared else "not compared"
        parts.append(f"{spec.role} {spec.build_seconds:.1f} s, pictures {pictures}")
    return "; ".join(parts)


def _keep(context: Context, build: _Build, kind: str, result: ExportResult) -> None:
    """Keep sidecars, and what the inspector said."""
    for each in result.engines:
        for file in _beside(each.file):
            name = f"{build.name}-{kind}-{each.spec.role}{file.suffix}"
            shutil.copy(file, context.evidence / name)


def _beside(engine: Path) -> Iterator[Path]:
    for suffix in (".json", ".layers"):
        if engine.with_suffix(suffix).is_file():
            yield engine.with_suffix(suffix)
