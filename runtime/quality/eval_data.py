"""The clips of an evaluation: true HR frames, and the LR frames to upscale."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import numpy as np

from vsrc.runtime.decode.clip_source import ClipSource, Layout
from vsrc.runtime.decode.clips.clip_frames import ClipFrames, is_at_scale
from vsrc.runtime.errors import DataError
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.quality.degradation import WHOLE_FRAME, Guess, guess_degradation
from vsrc.runtime.quality.eval_config import EvalDegradation

logger = logging.getLogger(__name__)

LrName = Literal["bi", "bd", "given"]

_DESCRIBED = {
    "bi": "MATLAB bicubic with antialiasing",
    "bd": "Gaussian blur of sigma 0.4 * scale and every scale-th pixel, centred",
    "given": "LR files unchanged",
}


@dataclass(frozen=True)
class LrPlan:
    """Source of the LR frames.

    Attributes:
        name: Name of the LR files of the data set, or of the degradation.
        from_twin: Whether LR comes from files of the data set.
        scale: HR/LR side ratio.
        known_as: Name of the degradation, if known; for `given`, the estimated one.
    """

    name: LrName
    from_twin: bool
    scale: int
    known_as: str | None

    def __str__(self) -> str:
        if self.name == "given":
            look = f", which look like {self.known_as}" if self.known_as else ""
            return f"LR files of the data set{look}"
        what = f"{self.name} ({_DESCRIBED[self.name]})"
        return f"LR files of the data set, {what}" if self.from_twin else f"made from HR by {what}"


def plan_lr(layout: Layout, *, wanted: EvalDegradation, trained_for: str, scale: int) -> LrPlan:
    """Choose the source of LR; the same for all clips.

    Args:
        layout: Data set.
        wanted: Requested degradation.
        trained_for: Degradation that the first model was trained for.
        scale: HR/LR side ratio.

    Raises:
        DataError: The required LR files do not exist for every clip.
    """
    named = [set(clip.twins) for clip in layout.clips]
    common = set.intersection(*named)
    # DIV2K and REDS have LR files of several scales: those of another one are made here instead.
    first = layout.clips[0]
    made = common - {"given"}
    unfit = {name for name in made if not is_at_scale(first, first.twins[name], scale)}
    if wanted != "given":
        common -= unfit
    if wanted == "given" and not common:
        lacking = next(clip.name for clip in layout.clips if not clip.twins)
        raise DataError(f"{layout.root}: {lacking} has no LR files, which 'given' needs")
    if wanted in ("auto", "given") and common:
        name: LrName = trained_for if trained_for in common else min(common)
    elif wanted in ("bi", "bd"):
        name = wanted
    else:
        name = "bd" if trained_for == "bd" else "bi"
    from_twin = name in common
    if name in unfit and not from_twin:
        logger.warning("the LR files (%s) of %s are not of %s", name, layout.root, f"{scale=}")
    known_as: str | None = name
    if name == "given":
        guess = _guess(layout.clips[0])
        known_as = guess.name if guess.is_sure else None
    return LrPlan(name, from_twin, scale, known_as)


def _guess(clip: ClipSource) -> Guess:
    pair = (clip, clip.twins["given"])
    high, low = (next(iter(ClipFrames(source))).transpose(2, 0, 1)[None] for source in pair)
    try:
        return guess_degradation(high, low)
    except ValueError as error:
        raise DataError(f"{clip.place}: {error}") from error


class EvalClip:
    """One clip, whose frames can be iterated repeatedly."""

    def __init__(self, source: ClipSource, plan: LrPlan, *, most: int) -> None:
        """Create a clip; nothing is read yet.

        Args:
            source: Files of the true frames.
            plan: Source of the LR frames.
            most: Largest number of frames, 0 for all.
        """
        self.name = source.name
        self.one_shot = source.one_shot
        self._source, self._plan, self._most = source, plan, most

    def truth(self) -> Iterator[Pixels8]:
        """Yield true frames cropped to a multiple of the scale, `(H, W, 3)`."""
        scale = self._plan.scale
        for frame in self._first(self._source):
            height, width = (size // scale * scale for size in frame.shape[:2])
            if not height or not width:
                raise DataError(f"{self._source.place} is smaller than {scale=}")
            yield frame[:height, :width]

    def lr(self) -> Iterator[Pixels8]:
        """Yield LR frames, `(H / scale, W / scale, 3)`."""
        if self._plan.from_twin:
            return self._twin()
        degrade = WHOLE_FRAME[self._plan.name]
        return (
            np.ascontiguousarray(
                degrade(frame.transpose(2, 0, 1), self._plan.scale).transpose(1, 2, 0)
            )
            for frame in self.truth()
        )

    def _twin(self) -> Iterator[Pixels8]:
        twin = self._source.twins[self._plan.name]
        scale = self._plan.scale
        pairs = zip(self.truth(), self._first(twin), strict=True)
        try:
            for true, low in pairs:
                if (low.shape[0] * scale, low.shape[1] * scale) != true.shape[:2]:
                    raise DataError(
                        f"{twin.place} is {low.shape[1]}x{low.shape[0]} and {self._source.place} "
                        f"{true.shape[1]}x{true.shape[0]}: not a pair at {scale=}"
                    )
                yield low
        except ValueError as error:
            raise DataError(
                f"{twin.place} and {self._source.place} differ in the number of frames"
            ) from error

    def _first(self, source: ClipSource) -> Iterator[Pixels8]:
        return islice(iter(ClipFrames(source)), self._most or None)
