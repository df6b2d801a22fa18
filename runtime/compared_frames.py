"""The scores of `vsrc compare` frame by frame: curves, and the frames to look at first."""

from __future__ import annotations

from collections.abc import Sequence

from vsrc.runtime.compared import Compared
from vsrc.runtime.report.before_after import Curve, WorstFrames
from vsrc.runtime.report.chart import Line

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
    """Of each scored source the frames with the lowest PSNR, the worst first."""
    found = []
    for source in sources:
        scored = [(value, at) for at, value in enumerate(source.psnr_y_db, 1) if value is not None]
        frames = tuple((at, f"{value:.2f} dB") for value, at in sorted(scored)[:_WORST])
        if frames:
            found.append(WorstFrames(source.label, frames))
    return found


def _line(label: str, values: Sequence[float | None]) -> Line:
    known = [(at, value) for at, value in enumerate(values, 1) if value is not None]
    return Line(label, [at for at, _ in known], [value for _, value in known])
