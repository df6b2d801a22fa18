"""Text form of an export result."""

from __future__ import annotations

import shlex
from pathlib import Path

from vsrc.export.checks.quality_gate import worst_db
from vsrc.export.runs.precision_choice import PrecisionCandidate, PrecisionChoice
from vsrc.export.runs.result import ExportedGraph, ExportResult
from vsrc.runtime.backends.device.engine_file import EngineSpec, EngineTarget
from vsrc.runtime.report.choice_table import ChoiceRow, choice_table
from vsrc.runtime.text.decibels import format_gain, format_psnr
from vsrc.runtime.text.size_text import format_shape, size_text


def export_text(result: ExportResult, package: Path) -> str:
    """Format the files written to a package, agreement with torch, and nodes kept in fp32."""
    lines = []
    for graph in result.graphs:
        mark = "  LOSSY" if graph.graph.lossy else ""
        lines.append(
            f"{graph.file}  {size_text(graph.graph.size_bytes)}, {graph.nodes} nodes{mark}"
        )
    if result.kept:
        lines.append(f"kept: {', '.join(result.kept)} (--overwrite replaces them)")
    for name, agreements in result.agreements.items():
        gains = [agreement.gain_db for agreement in agreements if agreement.gain_db is not None]
        gain = f", {format_gain(min(gains))} against ground truth" if gains else ""
        lines.append(
            f"{name}: {format_psnr(worst_db(agreements))} to {result.judge} before rounding{gain}"
        )
    for graph in result.graphs:
        lines += _float_lines(graph)
    for each in result.engines:
        text = f"{each.file}  {size_text(each.spec.size_bytes)}"
        seconds = each.spec.build_seconds
        lines.append(f"{text}, {f'built in {seconds:.1f} s' if each.built else 'existed'}")
        lines.append(f"  for {_target(each.spec.target)}")
        lines += [f"  {line}" for line in _engine_lines(each.spec)]
        if each.instead:
            lines.append(f"  built again: {each.instead}")
    if result.choice is not None:
        lines += choice_lines(result.choice, package)
    lines += [f"report: {path}" for path in result.reports if path.suffix == ".html"]
    return "\n".join(lines)


def _float_lines(graph: ExportedGraph) -> list[str]:
    """Format what a graph of lower precision computes in float."""
    lines = []
    if (share := graph.graph.int8_share) is not None:
        layers = ", ".join(graph.float_layers) or "none"
        lines.append(
            f"{graph.name}: {100 * share:.0f} % of its multiply-accumulates are int8; "
            f"layers in float: {layers}"
        )
    if graph.kept_in_fp32:
        names = ", ".join(f"{kept.node} ({kept.operator})" for kept in graph.kept_in_fp32)
        lines.append(f"{graph.name}: in fp32, as half precision cannot hold them: {names}")
    return lines


def _engine_lines(spec: EngineSpec) -> list[str]:
    """Format what is known about the arithmetic of an engine."""
    counts = ", ".join(f"{count} {name}" for name, count in spec.layers.items())
    told = {
        "layers": f"convolutions: {counts}",
        "graph": "precision: that of the graph, which is strongly typed",
        "none": "precision unknown; checked by output and speed",
    }
    lines = [told[spec.precision_from]] if spec.target.precision != "fp32" else []
    if spec.compared:
        sizes = ", ".join(
            f"{format_psnr(one.psnr_db)} at {one.height}x{one.width}" for one in spec.compared
        )
        lines.append(f"output: {sizes}, against the same graph on the CPU")
    elif spec.not_compared:
        lines.append(f"output not compared: {spec.not_compared}")
    return [*lines, *spec.notes]


def _target(target: EngineTarget) -> str:
    name = "TensorRT for RTX" if target.backend == "trt-rtx" else "TensorRT"
    gpus = ", ".join(target.compute_capabilities)
    gpu = f"{target.gpu} ({gpus})" if target.gpu else f"GPUs of compute capability {gpus}"
    return f"{name} {target.version}, {gpu}"


def choice_lines(choice: PrecisionChoice, package: Path) -> list[str]:
    """Format the table of `--precision auto`, and the command that runs the recommended graph."""
    where = format_shape(choice.height, choice.width)
    backend, _, provider = choice.backend.partition("-")
    words = ["vsrc", "infer", "VIDEO", "-m", str(package), "--precision", choice.recommended]
    words += ["--backend", backend if provider in ("", "cpu") else choice.backend]
    return [
        "",
        f"on {choice.backend}, one frame of {where}; recommended: {choice.recommended} "
        f"({choice.reason})",
        *choice_table(
            "precision",
            [_row(candidate, choice) for candidate in choice.candidates],
            command=shlex.join([*words, "-o", "OUT.mp4"]),
        ),
    ]


def _row(candidate: PrecisionCandidate, choice: PrecisionChoice) -> ChoiceRow:
    if candidate.latency_ms is None:
        return ChoiceRow(candidate.precision, None, None, "", f"not written: {candidate.refused}")
    return ChoiceRow(
        candidate.precision,
        candidate.latency_ms,
        candidate.gain_db,
        size_text(candidate.size_bytes),
        f"{format_psnr(candidate.psnr_db)} to torch",
        is_recommended=candidate.precision == choice.recommended,
    )
