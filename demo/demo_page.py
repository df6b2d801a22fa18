"""The page at the end of the demo: the same frame four ways under a slider, and the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsrc.demo.material import FIRST_JUDGED, Frames, Material
from vsrc.runtime.latency.report import BenchReport
from vsrc.runtime.latency.text import latency_cells
from vsrc.runtime.report.before_after import Picture, Table, before_after_page
from vsrc.runtime.sample import SAMPLE_CREDIT

SHOWN = 12
"""Which of the judged frames is shown."""


def write_demo_page(
    path: Path,
    pictures: Mapping[str, Frames],
    scores: Sequence[UpscalerScore],
    latency: BenchReport,
    material: Material,
) -> Path:
    """Write the page.

    Args:
        path: Where to.
        pictures: Label -> judged frames, `(36, 360, 640, 3)` uint8 RGB.
        scores: One for each of the pictures.
        latency: Of the student that ships.
        material: What was judged against.
    """
    decibels = {score.label: f"{score.psnr_db:.2f} dB" for score in scores}
    # The page opens on its first two pictures: bicubic, and the best that is there.
    best_first = sorted(pictures, key=lambda label: (label != "Bicubic", label))
    shown = [Picture(label, pictures[label][SHOWN], decibels[label]) for label in best_first]
    shown.append(Picture("Original", material.hr[FIRST_JUDGED + SHOWN]))
    columns, cells = zip(*latency_cells(latency), strict=True)
    return before_after_page(
        path,
        title="vsrc demo",
        pictures=shown,
        summary=(
            "A clip of 160x90, four times enlarged. The numbers are of frames 84 to 119. The "
            "student taught just now has not seen them, but frames 0 to 71 of the same shot; the "
            "student that ships was taught on other footage, other scenes of this film among it."
        ),
        tables=[
            Table(
                title="Likeness to the original",
                columns=("", "PSNR of Y"),
                rows=tuple(decibels.items()),
                note="8 bit, BT.601, no border cut, mean over 36 frames; LR is MATLAB bicubic.",
            ),
            Table(
                title="Latency of the student that ships, ms a frame",
                columns=("", *columns),
                rows=(("edge-s, 160x90 to 640x360", *cells),),
                note=f"{latency.throughput_fps:.1f} frames a second on this machine.",
            ),
        ],
        credit=SAMPLE_CREDIT,
    )


@dataclass(frozen=True)
class UpscalerScore:
    """PSNR of one way to enlarge the clip, over the frames that nobody learned from."""

    label: str
    psnr_db: float
