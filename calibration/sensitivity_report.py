"""Sensitivities as a text table, JSON file and PNG chart."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from vsrc.calibration.sensitivity import FloatLayers, LayerSensitivity
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.package import inside
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.schema import to_json
from vsrc.runtime.text.decibels import format_psnr

NAME = "sensitivity"
_INT8, _FLOAT = "#3b6ea5", "#c8553d"
_ROW_INCHES = 0.24


def sensitivity_text(ranked: Sequence[LayerSensitivity], float_layers: Sequence[str]) -> str:
    """Format a table, the convolution with the largest error first."""
    width = max(len("convolution"), *(len(layer.key) for layer in ranked))
    lines = [f"{'convolution':{width}}  PSNR, it alone int8  share of error"]
    for layer in ranked:
        psnr = format_psnr(layer.psnr_db, digits=2)
        kept = "  stays float" if layer.key in float_layers else ""
        lines.append(f"{layer.key:{width}}  {psnr:>19}  {layer.share:>14.1%}{kept}")
    return "\n".join(lines)


def write_report(package: Path, ranked: Sequence[LayerSensitivity], choice: FloatLayers) -> None:
    """Write `reports/sensitivity.json` and, if matplotlib is installed, `sensitivity.png`."""
    table, chart = (inside(package, f"reports/{NAME}.{suffix}") for suffix in ("json", "png"))
    table.parent.mkdir(exist_ok=True)
    data = {
        "schema_version": 1,
        "what": "PSNR against fp32, of outputs before rounding, with one convolution int8",
        "convolutions": to_json(ranked),
        "float_layers": to_json(choice.float_layers),
        "psnr_db": choice.psnr_db,
    }
    write_file(table, json.dumps(data, indent=2) + "\n")
    if is_importable("matplotlib"):
        _draw(chart, ranked, choice)


def _draw(path: Path, ranked: Sequence[LayerSensitivity], choice: FloatLayers) -> None:
    """Draw a bar for each convolution: its share of the error, labelled with its PSNR alone."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.6 + _ROW_INCHES * len(ranked)), layout="constrained")
    axes = figure.add_subplot()
    places = range(len(ranked))
    colours = [_FLOAT if layer.key in choice.float_layers else _INT8 for layer in ranked]
    bars = axes.barh(places, [100 * layer.share for layer in ranked], color=colours)
    labels = [format_psnr(layer.psnr_db) for layer in ranked]
    axes.bar_label(bars, labels, padding=3, fontsize=8)
    axes.set_yticks(places, [layer.key for layer in ranked], fontsize=8)
    axes.set_ylim(len(ranked) - 0.4, -0.6)
    axes.margins(x=0.12)
    axes.set_xlabel("share of the error, %; beside it the PSNR against fp32 with it alone int8")
    whole = f"{format_psnr(choice.psnr_db)} from fp32"
    kept = len(choice.float_layers)
    axes.set_title(f"int8{f', {kept} in float (orange)' if kept else ''}: {whole}", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=120)
