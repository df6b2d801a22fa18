"""The model card of a package: what it is, learnt from, can do, and where it ends."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from vsrc.benchmarks.train.sources import GATHERED, PANORAMA_AUTHOR, PANORAMA_LICENCE, STILLS
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import ModelSpec, Quality

LIMITS = {
    "bi": """
Clean, sharp sources that were made smaller by bicubic. Noise, strong compression, interlacing and
blur are not what it has seen: on such video it sharpens what is there, artefacts included. What the
frames do not show is not invented. No clip was selected by people in it.
""",
    "real": """
Compressed sources (H.264, HEVC, VP9, MPEG-2, MPEG-4), some of them with noise or blur. Of clean,
sharp sources it makes less than `edge-m` does; it has not seen interlacing. What the frames do not
show is not invented. No clip was selected by people in it.
""",
}
"""By the degradation of the training data."""

DATA = """
Big Buck Bunny (CC BY 3.0, Blender Foundation); pictures under synthetic camera paths with parallax,
by {authors};
a phone clip (CC BY-SA 4.0, Joao Eriberto Mota Filho); seven further clips (Apache-2.0, SAM 2;
BSD-2-Clause, openh264; MIT, CarND-LaneLines-P1); and posters, calendars and facades that are drawn
by a program
"""

BEGAN = {
    "whole": "It went on from the weights of `{}`. ",
    "seed": "It began as the same function as `{}`. ",
    "partial": "It began with all of `{}` but the last layer. ",
}
"""What `student_weights_as` says, where that is another network."""


def card(package: Path) -> str:
    """Markdown, all of it from what the package itself says."""
    spec = open_package(package).spec
    parts = (
        f"# {package.stem}",
        _paragraph(_summary(spec)),
        "## Measured",
        "\n".join(_scores(spec.quality)),
        *(_paragraph(f"Protocol: {each}.") for each in _once(q.protocol for q in spec.quality)),
        "## Time",
        "\n".join(_times(package)),
        *_origin_of_times(package, spec),
        "## Training",
        _paragraph(_training(spec)),
        _paragraph(_data(spec)),
        "## Limits",
        _paragraph(LIMITS[spec.degradation]),
    )
    return "\n\n".join(parts) + "\n"


def _summary(spec: ModelSpec) -> str:
    network = spec.network
    return (
        f"`{network.name}` x{network.scale}, {network.window} frames fed, {network.parameters:,} "
        f"parameters, {network.gmac_per_lr_pixel * 1e6:.1f} kMAC per LR pixel. Licence of the "
        f"weights: {spec.provenance.licence}. They are in half precision, training branches merged."
    )


def _scores(quality: tuple[Quality, ...]) -> Iterator[str]:
    metrics = _once(one.metric for one in quality)
    yield f"| clip | {' | '.join(metrics)} |"
    yield "|---|" + "---:|" * len(metrics)
    for clip in _once(one.data for one in quality):
        values = {one.metric: one.value for one in quality if one.data == clip}
        cells = (f"{values[name]:.{4 if values[name] < 1 else 3}f}" for name in metrics)
        yield f"| {clip} | {' | '.join(cells)} |"


def _times(package: Path) -> Iterator[str]:
    if not list(package.glob("reports/bench-*.json")):
        yield f"Not measured: `vsrc bench {package.stem}` measures it on your machine."
        return
    yield "| graph | LR frame | median, ms | frames/s | machine |"
    yield "|---|---|---:|---:|---|"
    for path in sorted(package.glob("reports/bench-*.json")):
        report = json.loads(path.read_text(encoding="utf-8"))
        feed, subject = report["feed"], report["subject"]
        yield (
            f"| {subject['session']} | {feed['height_px']}x{feed['width_px']} "
            f"| {report['latency_ms']['p50']:.1f} | {report['throughput_fps']:.1f} "
            f"| {report['machine']['cpu']}, {subject['threads']} threads |"
        )


def _origin_of_times(package: Path, spec: ModelSpec) -> Iterator[str]:
    graphs = {graph.sha256 for graph in spec.graphs.values()}
    reports = (json.loads(path.read_text("utf-8")) for path in package.glob("reports/bench-*.json"))
    if any(report["subject"]["graph_sha256"] not in graphs for report in reports):
        yield _paragraph(
            "Measured with the weights that shipped before; the graphs differ in weights alone."
        )


def _training(spec: ModelSpec) -> str:
    origin, recipe = spec.provenance, spec.provenance.recipe
    teacher = "without a teacher"
    if origin.teacher:
        teacher = f"teacher {origin.teacher} (weights {_short(origin.teacher_sha256)})"
    began_as = recipe.get("student_weights")
    start = (
        "" if began_as in (None, "None") else BEGAN[recipe["student_weights_as"]].format(began_as)
    )
    return (
        f"Degradation `{spec.degradation}`, {teacher}, objective `{origin.objective}`. Last run: "
        f"{origin.steps:,} steps of {recipe['batch']} crops of {recipe['patch']} pixels, learning "
        f"rate {recipe['learning_rate']}, {recipe['schedule']}, {recipe['precision']}, on "
        f"{recipe['device']}. {start}{_blend(recipe)}Command: `{origin.command}`."
    )


def _blend(recipe: Mapping[str, str]) -> str:
    blended = recipe.get("blended")  # by blend.py: share of its own weights, and what the rest is
    return f"Blended with other weights: {blended}. " if blended else ""


def _data(spec: ModelSpec) -> str:
    by_author: dict[str, set[str]] = {}
    for still in STILLS:
        by_author.setdefault(still.author, set()).add(still.licence)
    if GATHERED in spec.provenance.data:
        by_author[PANORAMA_AUTHOR] = {PANORAMA_LICENCE}
    authors = ", ".join(
        f"{name} ({', '.join(sorted(one))})" for name, one in sorted(by_author.items())
    )
    return (
        f"Data ({spec.provenance.frames:,} frames, collected by `benchmarks/train/gather.py`): "
        f"{' '.join(DATA.format(authors=authors).split())}. Vid4 and the clips that candidates are "
        "compared on are not among them."
    )


def _short(hashes: str | None) -> str:
    """The first digits of each hash."""
    return " + ".join(each[:12] for each in (hashes or "").split("+"))


def _once(words: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(words))


def _paragraph(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), 100, break_on_hyphens=False)
