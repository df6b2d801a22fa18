"""Results of `vsrc compare` for each source, as values, text and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.picture.likeness import SSIM_WINDOW, psnr, ssim
from vsrc.runtime.report.before_after import Curve, Table, WorstFrames
from vsrc.runtime.report.chart import Line
from vsrc.runtime.report.template import Badge
from vsrc.runtime.text.decibels import format_psnr
from vsrc.runtime.text.size_text import format_size


@dataclass(frozen=True)
class Compared:
    """One of the sources with its scores against the reference.

    Attributes:
        label: Name on the page.
        path: Path of the file.
        width_px: Width of its frames, pixels.
        height_px: Height of its frames, pixels.
        psnr_y_db: PSNR of luma of each frame, dB; None for a frame equal to the reference. Empty
            without a reference of the same size.
        ssim_y: SSIM of luma of each frame; empty likewise, and for frames smaller than the window
            of SSIM.
    """

    label: str
    path: str
    width_px: int
    height_px: int
    psnr_y_db: tuple[float | None, ...] = ()
    ssim_y: tuple[float, ...] = ()

    @property
    def psnr_text(self) -> str:
        """Mean over the frames, as text."""
        return format_psnr(fmean(_infinite(self.psnr_y_db)), digits=2)

    @property
    def detail(self) -> str:
        """The scores, or the frame size if there are none."""
        return self.psnr_text if self.psnr_y_db else format_size(self.width_px, self.height_px)

    def cells(self) -> tuple[str, ...]:
        """Label, mean PSNR, mean SSIM and worst frame of a scored source."""
        values = _infinite(self.psnr_y_db)
        worst = min(range(len(values)), key=values.__getitem__)
        mean_ssim = f"{fmean(self.ssim_y):.4f}" if self.ssim_y else "-"
        lowest = format_psnr(values[worst], digits=2)
        place = "" if math.isinf(values[worst]) else f", frame {worst + 1}"
        return (self.label, self.psnr_text, mean_ssim, f"{lowest}{place}")


@dataclass(frozen=True)
class Comparison:
    """Result of a comparison.

    Attributes:
        page: Path of the HTML file.
        frames: Number of frames compared.
        border_px: Width cropped from each edge before scoring, pixels.
        sources: Left, right and, if given, the reference.
    """

    page: str
    frames: int
    border_px: int
    sources: tuple[Compared, ...]


@dataclass(frozen=True)
class FrameScore:
    """Scores of one frame against the reference; None for what is undefined."""

    psnr_y_db: float | None
    ssim_y: float | None


def score_frame(
    frame: NDArray[np.uint8], truth: NDArray[np.uint8], *, border_px: int
) -> FrameScore | None:
    """Score a frame, `(H, W, 3)` uint8 RGB; None if the sizes differ or nothing is left of it."""
    least_side = min(truth.shape[:2]) - 2 * border_px
    if frame.shape != truth.shape or least_side < 1:
        return None
    decibels = psnr(frame, truth, border=border_px)
    likeness = ssim(frame, truth, border=border_px) if least_side >= SSIM_WINDOW else None
    return FrameScore(None if math.isinf(decibels) else decibels, likeness)


def likeness_table(sources: Sequence[Compared], *, border_px: int) -> Table | None:
    """Format the scores as a table; None if nothing was scored."""
    rows = tuple(source.cells() for source in sources if source.psnr_y_db)
    if not rows:
        return None
    note = f"Luma (BT.601) against {sources[-1].label}, {border_px} pixels cropped at each edge."
    return Table("Similarity to the reference", ("", "PSNR", "SSIM", "lowest PSNR"), rows, note)


def comparison_badge(sources: Sequence[Compared]) -> Badge:
    """Which of the two is closer to the reference; without one, that nothing is scored."""
    left, right = sources[:2]
    if not (left.psnr_y_db and right.psnr_y_db):
        given = len(sources) > 2
        return Badge(f"not scored: no reference {'of the same size' if given else 'given'}")
    values = [fmean(_infinite(source.psnr_y_db)) for source in (left, right)]
    if values[0] == values[1]:
        return Badge("both equally close to the reference")
    better = left if values[0] > values[1] else right
    if math.inf in values:
        return Badge(f"{better.label} equals the reference")
    return Badge(f"{better.label} is {abs(values[0] - values[1]):.2f} dB closer to the reference")


def comparison_text(comparison: Comparison) -> str:
    """Format a line for each source, and the path of the page."""
    width = max(len(source.label) for source in comparison.sources)
    lines = []
    for source in comparison.sources:
        size = format_size(source.width_px, source.height_px)
        facts = [size]
        if source.psnr_y_db:
            _, mean_psnr, mean_ssim, worst = source.cells()
            facts += [f"PSNR-Y {mean_psnr}", f"SSIM-Y {mean_ssim}", f"lowest {worst}"]
        lines.append(f"{source.label.ljust(width)}  {'  '.join(facts)}")
    return "\n".join([*lines, comparison.page])


def _infinite(decibels: Sequence[float | None]) -> list[float]:
    return [math.inf if value is None else value for value in decibels]


_WORST = 8


def likeness_curves(sources: Sequence[Compared]) -> list[Curve]:
    """PSNR and SSIM over the frames; frames equal to the reference have no finite PSNR."""
    psnr = [_line(source.label, source.psnr_y_db) for source in sources if source.psnr_y_db]
    ssim = [_line(source.label, source.ssim_y) for source in sources if source.ssim_y]
    curves = [
        Curve("PSNR of luma", "dB", tuple(line for line in psnr if len(line.x))),
        Curve("SSIM of luma", "SSIM", tuple(line for line in ssim if len(line.x))),
    ]
    return [curve for curve in curves if curve.lines]


def worst_frames(sources: Sequence[Compared]) -> list[WorstFrames]:
    """List the frames with the lowest PSNR of each scored source, the worst first."""
    worst = []
    for source in sources:
        scored = [(value, at) for at, value in enumerate(source.psnr_y_db, 1) if value is not None]
        frames = tuple((at, f"{value:.2f} dB") for value, at in sorted(scored)[:_WORST])
        if frames:
            worst.append(WorstFrames(source.label, frames))
    return worst


def _line(label: str, values: Sequence[float | None]) -> Line:
    known = [(at, value) for at, value in enumerate(values, 1) if value is not None]
    return Line(label, [at for at, _ in known], [value for _, value in known])
