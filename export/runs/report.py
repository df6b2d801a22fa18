"""Write the report of an export as JSON, and as an HTML page."""

from __future__ import annotations

import json
import math
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vsrc import __version__
from vsrc.export.checks.agreement import Agreement
from vsrc.export.runs.result import ExportedGraph
from vsrc.runtime.dependencies import find_version, is_importable
from vsrc.runtime.machine import this_machine
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.report.before_after import Picture, Table, before_after_page
from vsrc.runtime.report.template import Badge
from vsrc.runtime.sample import SAMPLE_CREDIT
from vsrc.runtime.schema import to_json
from vsrc.runtime.text.decibels import format_gain, format_psnr
from vsrc.runtime.text.size_text import size_text

if TYPE_CHECKING:
    from vsrc.export.checks.checked_graphs import Draft

SCHEMA_VERSION = 3
_TOOLS = ("onnx", "onnxruntime", "onnxscript", "onnxsim", "torch")
_JUDGE = "{} in float32 on frames of the sample clip, before rounding to 8 bits, RGB, peak 255"
_ARITHMETIC = {
    "fp32": "ONNX Runtime on the CPU",
    "fp16": "ONNX Runtime on the CPU, each half value rounded; sums inside an operator are float32",
    "int8": "ONNX Runtime on the CPU: quantised as written, sums are exact",
    "int8-cpu": "ONNX Runtime's integer kernels on this CPU",
}


def write_reports(
    package: Path,
    draft: Draft,
    written: Sequence[ExportedGraph],
    *,
    model: str,
) -> list[Path]:
    """Write `reports/export-<name>.json` and, if jinja2 is installed, the HTML page beside it.

    Args:
        package: Folder of the package.
        draft: Compared graphs.
        written: Written graphs.
        model: Name of the model, for a reader who has several such pages open.

    Returns:
        Paths of the files.
    """
    folder = package / "reports"
    folder.mkdir(exist_ok=True)
    data = _data(draft, written)
    file = folder / f"export-{draft.name}.json"
    write_file(file, json.dumps(data, indent=2, allow_nan=False) + "\n")
    if not is_importable("jinja2"):
        return [file]
    return [file, _page(file.with_suffix(".html"), model, draft, data)]


def _data(draft: Draft, written: Sequence[ExportedGraph]) -> dict[str, Any]:
    tools = {"python": platform.python_version(), "vsrc": __version__}
    versions = {**tools, **{name: find_version(name) for name in _TOOLS}}
    return {
        "schema_version": SCHEMA_VERSION,
        "precision": draft.precision,
        "limit_db": draft.limits.psnr_db,
        "limit_gain_db": draft.limits.gain_db,
        "int8_share": draft.int8_share,
        "float_layers": list(draft.float_layers),
        "lossy": draft.lossy,
        "compared_with": _JUDGE.format(draft.judge),
        "arithmetic": _ARITHMETIC[draft.precision],
        "graphs": [
            {
                "name": graph.name,
                "file": graph.graph.file,
                "sha256": graph.graph.sha256,
                "size_bytes": graph.graph.size_bytes,
                "opset": graph.graph.opset,
                "nodes": graph.nodes,
                "kept_in_fp32": to_json(graph.kept_in_fp32),
            }
            for graph in written
        ],
        "agreements": {
            name: [_finite(agreement) for agreement in of_one]
            for name, of_one in draft.comparison.agreements.items()
        },
        "versions": versions,
    }


def _finite(agreement: Agreement) -> dict[str, Any]:
    """Convert to JSON values, replacing NaN and infinity."""
    data: dict[str, Any] = to_json(agreement)
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in data.items()
    }


def _badge(draft: Draft, agreement: str, limit_db: float) -> Badge:
    if draft.lossy:
        return Badge(f"failed: {agreement}, below {limit_db:g} dB; kept as lossy", "bad")
    return Badge(f"passed: {agreement}, limit {limit_db:g} dB", "good")


def _page(path: Path, model: str, draft: Draft, data: dict[str, Any]) -> Path:
    truth, here = draft.comparison.truth, draft.comparison.pictures[draft.name]
    worst = min(
        (
            agreement["psnr_db"]
            for agreement in data["agreements"][draft.name]
            if agreement["psnr_db"] is not None
        ),
        default=None,
    )
    agreement = format_psnr(worst)
    difference, factor = _difference(truth, here)
    return before_after_page(
        path,
        title=f"Export of {model}: {draft.name}",
        badge=_badge(draft, agreement, data["limit_db"]),
        machine=str(this_machine()),
        pictures=[
            Picture(f"{draft.judge} fp32", truth),
            Picture(draft.name, here, agreement),
            Picture("difference", difference, f"x {factor}"),
        ],
        summary=(
            f"PSNR against {data['compared_with']}: {agreement} at the worst of the compared sizes."
            + ("" if draft.int8_share is None else f" {_share(draft)}.")
        ),
        tables=[*_tables(data)],
        credit=SAMPLE_CREDIT,
    )


def _limits(data: dict[str, Any]) -> str:
    text = f"the limit is {data['limit_db']:g} dB"
    if data["limit_gain_db"] is None:
        return text
    return f"{text}, and {data['limit_gain_db']:+g} dB against ground truth"


def _share(draft: Draft) -> str:
    layers = ", ".join(draft.float_layers) or "none"
    return (
        f"{100 * (draft.int8_share or 0):.0f} % of the multiply-accumulates are int8; convolutions "
        f"that stay in float: {layers}"
    )


def _difference(truth: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, int]:
    """Difference image, grey where both are equal, and its amplification factor."""
    signed = here.astype(np.int64) - truth
    factor = max(1, 127 // max(1, int(np.abs(signed).max())))
    return np.clip(128 + factor * signed, 0, 255).astype(np.uint8), factor


def _tables(data: dict[str, Any]) -> list[Table]:
    rows = []
    for name, of_one in data["agreements"].items():
        for agreed in of_one:
            gain = "" if agreed["gain_db"] is None else format_gain(agreed["gain_db"])
            rows.append(
                (
                    name,
                    f"{agreed['height']}x{agreed['width']}",
                    format_psnr(agreed["psnr_db"], digits=2),
                    f"{agreed['largest_difference'] or 0:.3f}",
                    f"{100 * agreed['differing_share']:.2f} %",
                    gain,
                )
            )
    agreement = Table(
        f"Agreement with {data['compared_with'].partition(' in ')[0]}",
        (
            "Graph",
            "LR, HxW",
            "PSNR",
            "Largest difference, of 255",
            "8-bit values that differ",
            "Against truth",
        ),
        tuple(rows),
        f"Arithmetic: {data['arithmetic']}. Against truth: change of PSNR to the original; "
        "negative is a loss.",
    )
    files = Table(
        "Files",
        ("Graph", "Size", "Nodes", "Opset", "SHA-256"),
        tuple(
            (
                graph["name"],
                size_text(graph["size_bytes"]),
                str(graph["nodes"]),
                str(graph["opset"]),
                graph["sha256"][:16],
            )
            for graph in data["graphs"]
        ),
    )
    kept = [
        (graph["name"], node["node"], node["operator"], _size(node["largest"]))
        for graph in data["graphs"]
        for node in graph["kept_in_fp32"]
    ]
    if not kept:
        return [agreement, files]
    columns = ("Graph", "Node", "Operator", "Largest value")
    title = "Kept in float32: half precision cannot hold them on real frames"
    return [agreement, files, Table(title, columns, tuple(kept))]


def _size(largest: float | None) -> str:
    return "no number" if largest is None else f"{largest:.4g}"
