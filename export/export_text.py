"""An export in words."""

from __future__ import annotations

from vsrc.export.export_result import ExportResult
from vsrc.export.gate import worst_db
from vsrc.runtime.inspection import size_text


def export_text(result: ExportResult) -> str:
    """What was written, how well it agrees with torch, and what half precision could not hold."""
    lines = []
    for one in result.graphs:
        mark = "  LOSSY" if one.graph.lossy else ""
        lines.append(f"{one.file}  {size_text(one.graph.size_bytes)}, {one.nodes} nodes{mark}")
    for name, found in result.agreements.items():
        loss = [one.loss_db for one in found if one.loss_db is not None]
        lost = f", {-max(loss):+.4f} dB against ground truth" if loss else ""
        lines.append(f"{name}: {worst_db(found):.1f} dB to torch before rounding{lost}")
    for one in result.graphs:
        if one.kept_in_fp32:
            names = ", ".join(f"{kept.node} ({kept.operator})" for kept in one.kept_in_fp32)
            lines.append(f"{one.name}: in fp32, as half precision cannot hold them: {names}")
    lines += [f"report: {path}" for path in result.reports if path.suffix == ".html"]
    return "\n".join(lines)
