"""Temporal metrics based on optical flow (OpenCV's DIS, Kroeger et al. 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.installation import require
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.eval_report import MetricValues
from vsrc.runtime.quality.metrics import MetricKind

if TYPE_CHECKING:
    import cv2

Flow = NDArray[np.float32]
"""Optical flow `(H, W, 2)`: displacement of each pixel to the right and down, pixels."""

_DIS_LEAST_SIDE = 16
"""Smallest side for which DIS has room for a patch on its coarsest level, pixels."""


class Tof:
    """tOF: difference of motion to the truth (Chu et al. 2020, TecoGAN, section 5).

    Mean length of the difference between the flow of two SR frames and that of the two true frames,
    in pixels; 0 is best.
    """

    def __init__(self, border: int) -> None:
        del border  # motion at the edge counts too
        self._flow = _Dis()
        self._last: tuple[Pixels8, Pixels8] | None = None
        self._errors: list[float] = []

    def add(self, sr: Pixels8, truth: Pixels8) -> None:
        """Take the next pair; see `Metric`."""
        grey = (self._flow.grey(sr), self._flow.grey(truth))
        if self._last is not None and min(truth.shape[:2]) >= _DIS_LEAST_SIDE:
            upscaled, true = (
                self._flow(before, now) for before, now in zip(self._last, grey, strict=True)
            )
            self._errors.append(float(np.linalg.norm(upscaled - true, axis=-1).mean()))
        self._last = grey

    def result(self) -> MetricValues:
        """See `Metric`."""
        return {"tof": _mean(self._errors)}


class Warp:
    """Warping error: flicker of the SR frames (Lai et al. 2018, section 4.1).

    The previous SR frame, warped by the true motion, against the current one: mean squared
    difference of RGB in [0, 1], times 1000, where forward and backward flow agree. A repeated still
    frame scores 0, so read it beside a fidelity metric and the value of the truth itself.
    """

    def __init__(self, border: int) -> None:
        del border
        self._flow = _Dis()
        self._last: tuple[Pixels8, Pixels8] | None = None
        self._errors: list[float] = []

    def add(self, sr: Pixels8, truth: Pixels8) -> None:
        """Take the next pair; see `Metric`."""
        grey = self._flow.grey(truth)
        if self._last is not None and min(truth.shape[:2]) >= _DIS_LEAST_SIDE:
            last_sr, last_grey = self._last
            back, forth = self._flow(grey, last_grey), self._flow(last_grey, grey)
            seen = _is_followed(back, forth, self._flow)
            difference = (self._flow.moved(last_sr, back).astype(np.float64) - sr) / 255
            if seen.any():
                self._errors.append(float(1000 * (difference[seen] ** 2).mean()))
        self._last = (sr, grey)

    def result(self) -> MetricValues:
        """See `Metric`."""
        return {"warp": _mean(self._errors)}


def check_opencv() -> None:
    """Check that optical flow can be computed.

    Raises:
        MissingDependencyError: OpenCV is not installed or does not load.
    """
    require("optical flow", "cv2")


TEMPORAL = {
    "tof": MetricKind(
        "tOF: mean end-point difference of the DIS flow between frames to the truth's, pixels",
        Tof,
        check_opencv,
    ),
    "warp": MetricKind(
        "warp: mean squared difference to the last frame warped by the truth's DIS flow, RGB in "
        "[0, 1], times 1000, where the flow is consistent",
        Warp,
        check_opencv,
    ),
}


class _Dis:
    """OpenCV's DIS flow, imported on demand."""

    def __init__(self) -> None:
        import cv2

        self._cv2 = cv2
        self._dis: cv2.DISOpticalFlow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def grey(self, rgb: Pixels8) -> Pixels8:
        return np.asarray(self._cv2.cvtColor(rgb, self._cv2.COLOR_RGB2GRAY), dtype=np.uint8)

    def __call__(self, before: Pixels8, now: Pixels8) -> Flow:
        """Compute the flow from `before` to `now`."""
        start = np.zeros((*before.shape, 2), np.float32)
        return np.asarray(self._dis.calc(before, now, start), dtype=np.float32)

    def moved(self, picture: Pixels8 | Flow, flow: Flow) -> Pixels8 | Flow:
        """Sample each pixel where the flow points, bilinear, with replicated edges."""
        height, width = flow.shape[:2]
        columns, rows = np.meshgrid(
            np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
        )
        result: Pixels8 | Flow = self._cv2.remap(  # type: ignore[assignment]
            picture,
            columns + flow[..., 0],
            rows + flow[..., 1],
            self._cv2.INTER_LINEAR,
            borderMode=self._cv2.BORDER_REPLICATE,
        )
        return result


def _is_followed(back: Flow, forth: Flow, dis: _Dis) -> NDArray[np.bool_]:
    """Mask of pixels with consistent forward and backward flow (Sundaram et al. 2010, eq. 5)."""
    there = dis.moved(forth, back).astype(np.float32)
    gap = ((back + there) ** 2).sum(axis=-1)
    return np.asarray(gap < 0.01 * ((back**2).sum(axis=-1) + (there**2).sum(axis=-1)) + 0.5)


def _mean(values: list[float]) -> float | None:
    return float(np.mean(values)) if values else None
