"""Write the demo's page: a frame upscaled in four ways under a slider, and the scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrc.demo.material import FIRST_JUDGED, Frames, Material
from vsrc.runtime.latency.model_names import model_name
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.text import latency_cells
from vsrc.runtime.report.before_after import Picture, Table, before_after_page
from vsrc.runtime.report.template import Badge
from vsrc.runtime.sample import SAMPLE_CREDIT
from vsrc.runtime.text.decibels import format_gain
from vsrc.runtime.text.size_text import format_size

BICUBIC_LABEL = "Bicubic"
TRAINED_LABEL = "edge-s of this demo"
SHIPPED_LABEL = "edge-s that ships"

SHOWN = 12
"""Index of the scored frame that is shown."""


def write_demo_page(
    path: Path,
    pictures: Mapping[str, Frames],
    scores: Sequence[UpscalerScore],
    latency: BenchReport,
    material: Material,
) -> Path:
    """Write the HTML page.

    Args:
        path: Output file.
        pictures: Label -> scored frames, `(36, 360, 640, 3)` uint8 RGB.
        scores: Score of each label.
        latency: Latency of the shipped student.
        material: Ground truth and LR frames.
    """
    psnr = {score.label: score.psnr_db for score in scores}
    decibels = {label: f"{value:.2f} dB" for label, value in psnr.items()}
    # The page opens on its first two images: bicubic, and the best one.
    best_first = sorted(pictures, key=lambda label: (label != BICUBIC_LABEL, -psnr[label]))
    shown = [Picture(label, pictures[label][SHOWN], decibels[label]) for label in best_first]
    shown.append(Picture("Original", material.hr[FIRST_JUDGED + SHOWN]))
    columns, cells = zip(*latency_cells(latency), strict=True)
    return before_after_page(
        path,
        title="Demo: edge-s, trained, exported and measured on the sample clip",
        pictures=shown,
        badge=_badge(scores),
        machine=str(latency.machine),
        summary=(
            "A clip of 160x90 (WxH), upscaled four times. The scores are of frames 84 to 119. "
            "The student of this demo was trained on frames 0 to 71 of the same shot; the shipped "
            "student was trained on other footage, with other scenes of this film."
        ),
        tables=[
            Table(
                title="Similarity to the original",
                columns=("", "PSNR of Y"),
                rows=tuple(decibels.items()),
                note="8 bit, BT.601, no border cut, mean over 36 frames; LR is MATLAB bicubic.",
            ),
            Table(
                title="Latency, ms per frame",
                columns=("", *columns),
                rows=((_latency_label(latency), *cells),),
                note=f"{latency.throughput_fps:.1f} frames/s, on this machine.",
            ),
        ],
        credit=SAMPLE_CREDIT,
    )


def _badge(scores: Sequence[UpscalerScore]) -> Badge:
    """How far the student that was trained just now is above bicubic."""
    by_label = {score.label: score.psnr_db for score in scores}
    gain = by_label[TRAINED_LABEL] - by_label[BICUBIC_LABEL]
    words = f"trained student {format_gain(gain)} against bicubic"
    return Badge(words, "good" if gain > 0 else "bad")


def _latency_label(latency: BenchReport) -> str:
    """What ran: model, precision, backend, and the sizes of its frames."""
    feed, subject = latency.feed, latency.subject
    width, height, scale = feed.width_px, feed.height_px, subject.scale
    larger = f" to {format_size(width * scale, height * scale)}" if scale else ""
    size = f"{format_size(width, height)}{larger}"
    return f"{model_name(latency)}, {subject.graph_words}, {size}"


@dataclass(frozen=True)
class UpscalerScore:
    """PSNR of one way to upscale the clip, over frames that were not trained on."""

    label: str
    psnr_db: float
