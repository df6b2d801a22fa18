"""Inspect a built engine and its sidecar."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vsrc.runtime.backends.device.engine_file import EngineTarget, check_engine
from vsrc.runtime.errors import SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.inspection.facts import Inspection
from vsrc.runtime.text.size_text import size_text

_SIDECAR_LIMIT_BYTES = 4 << 20
_NAMES = {"trt": "TensorRT", "trt-rtx": "TensorRT for RTX"}


def inspect_engine(path: Path) -> Inspection:
    """Check size and hash of an engine, and report the target from its sidecar.

    An engine can only be loaded by the TensorRT version and GPU that it was built for, so its
    properties are read from the sidecar.
    """
    size_bytes, sha256 = path.stat().st_size, file_sha256(path)
    sidecar, problem = _sidecar(path.with_suffix(".json"))
    rows = [("sha256", sha256)]
    rows += [(str(key), _text(value)) for key, value in (sidecar or {}).items()]
    if sidecar is not None:
        try:
            target = check_engine(path).target
            rows.append(("needs", f"{_NAMES[target.backend]} {target.version}, {_gpu(target)}"))
        except SpecError as error:
            problem = str(error)
    return Inspection(
        kind="engine",
        path=str(path),
        title=f"engine, {size_text(size_bytes)}",
        rows=tuple(rows),
        facts={"size_bytes": size_bytes, "sha256": sha256, "sidecar": sidecar},
        problems=(problem,) if problem else (),
    )


def _gpu(target: EngineTarget) -> str:
    if target.gpu is not None:
        return f"the GPU {target.gpu}"
    return f"a GPU of compute capability {', '.join(target.compute_capabilities)}"


def _sidecar(path: Path) -> tuple[dict[str, Any] | None, str]:
    """Read the sidecar; return its contents, or the error."""
    if not path.is_file():
        return None, f"{path} is missing: GPU and TensorRT of this engine are unknown"
    if path.stat().st_size > _SIDECAR_LIMIT_BYTES:
        return None, f"{path} is larger than any sidecar"
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        return None, f"{path} is not readable as JSON ({error})"
    if not isinstance(data, dict):
        return None, f"{path} is not a sidecar: it is not a JSON object"
    return data, ""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
