"""Find the form of a foreign graph by running it once on a small picture.

Shapes say how many frames and channels it takes; whether white is 1 or 255 is what gives the
picture that looks more like the enlarged input.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from vsrc.export.foreign.form import ForeignColour, ForeignForm
from vsrc.export.foreign.original import OriginalGraph
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.picture.bicubic import downscale, upscale
from vsrc.runtime.sample import sample_frames

_SIDES = (64, 128)
"""H and W of the small picture where they are free, LR pixels: multiples of what most networks
divide their input by."""
_CLEAR_DB = 2.0
"""Least difference of two candidates for the better one to be taken."""
_LIKE_DB = 15.0
"""Least PSNR to the enlarged input for an output to be a picture at all."""
_EQUAL_DB = 50.0
_OTHER_RANGES = (np.float32(255), 1 / np.float32(255))
"""What an output is multiplied with whose white is not that of the input."""
_LONGEST = 15
"""Most frames that are guessed from a number of channels."""


@dataclass(frozen=True)
class Told:
    """What the user says of a graph; None for what is to be found.

    Attributes:
        scale: SR/LR side ratio.
        window: Frames fed at once.
        peak: Value of white: 1 or 255.
        colour: Order of the channels, or `y`.
    """

    scale: int | None = None
    window: int | None = None
    peak: int | None = None
    colour: ForeignColour | None = None


@dataclass(frozen=True)
class Candidate:
    """A form, and how much its output looks like the enlarged input, dB.

    Attributes:
        form: The form.
        psnr_db: PSNR to the enlarged input, dB.
        picture: Output, white is 1.
        rescaled_db: The same if white were 255 in the output only, or in the input only, dB.
    """

    form: ForeignForm
    psnr_db: float
    picture: NDArray[np.float32]
    rescaled_db: float = -np.inf

    @property
    def option(self) -> str:
        """Options that choose it."""
        return (
            f"--range {self.form.peak} --colour {self.form.colour} --window {self.form.window} "
            f"({self.psnr_db:.1f} dB to the upscaled input)"
        )


def find_form(original: OriginalGraph, told: Told) -> ForeignForm:
    """Find how a graph is fed.

    Raises:
        ValueError: Several forms fit; the message lists them with the options that choose.
        MismatchError: None fits.
    """
    candidates: list[Candidate] = []
    reasons: list[str] = []
    for form in _forms(original, told):
        peaks = (told.peak,) if told.peak else (1, 255)
        try:
            candidates += [_try(original, replace(form, peak=peak), told) for peak in peaks]
        except MismatchError as error:
            reasons.append(str(error))
    if not candidates:
        raise MismatchError(reasons[0] if reasons else _no_form(original, told))
    # A graph that gives each frame back is rarer than one whose channels are those of a picture.
    single = [candidate for candidate in candidates if candidate.form.frames_given == 1]
    return _choose(original, single or candidates).form


def real_frames_for(
    original: OriginalGraph, *, window: int, height: int, width: int
) -> NDArray[np.float32]:
    """Real frames `(1, T, 3, H, W)` in [0, 1] of the size that the graph takes."""
    fixed = original.shape[-2:]
    height, width = (have or wanted for have, wanted in zip(fixed, (height, width), strict=True))
    frames = sample_frames(window)
    if height <= 90 and width <= 160:
        frames = downscale(frames, 4)
    repeat = (1, -(-height // frames.shape[1]), -(-width // frames.shape[2]), 1)
    frames = np.tile(frames, repeat)[None, :, :height, :width]
    return np.ascontiguousarray(np.moveaxis(frames, -1, 2)).astype(np.float32) / np.float32(255)


def _forms(original: OriginalGraph, told: Told) -> Iterator[ForeignForm]:
    """Forms that the shape of the input allows; peak, scale and output are found by running."""
    shape = original.shape
    if len(shape) in (4, 5) and shape[-1] in (1, 3) and shape[-3] not in (1, 3):
        raise MismatchError(
            f"{original.name} takes its channels last, (N, H, W, C); expected (N, C, H, W): export "
            "it anew at its source with channels first (tf2onnx: --inputs-as-nchw and "
            "--outputs-as-nchw)"
        )
    colours: tuple[ForeignColour, ...] = (told.colour,) if told.colour else ("rgb", "y")
    for colour in colours:
        of_frame = 1 if colour == "y" else 3
        if len(shape) == 5:
            window = _window(original, told)
            if shape[2] in (None, of_frame) and told.window in (None, window):
                yield ForeignForm("window", window, 1, colour, 1)
        elif len(shape) == 4:
            window, rest = divmod(shape[1] or of_frame * (told.window or 1), of_frame)
            if rest or told.window not in (None, window) or window % 2 == 0 or window > _LONGEST:
                continue
            yield ForeignForm("image" if window == 1 else "stacked", window, 1, colour, 1)
        else:
            raise MismatchError(
                f"{original.name} takes an input of {len(shape)} axes; expected (N, C, H, W), or "
                "(N, T, C, H, W) for a window of frames"
            )


def _window(original: OriginalGraph, told: Told) -> int:
    """Frames that a graph takes on an axis of their own."""
    window = original.shape[1] or told.window
    if window is None:
        raise ValueError(f"{original.name} takes any number of frames: set it with --window")
    if window % 2 == 0:
        raise MismatchError(
            f"{original.name} takes a window of {window} frames; expected an odd number, whose "
            "middle one is upscaled: export it again for one frame more or fewer"
        )
    return window


def _no_form(original: OriginalGraph, told: Told) -> str:
    sides = ", ".join("any" if side is None else str(side) for side in original.shape)
    told_colour = f" of {told.colour}" if told.colour else ""
    frames = "an odd number of frames" if told.window is None else f"{told.window} frames"
    return (
        f"{original.name} takes ({sides}): no frames{told_colour} fit that. Expected are "
        f"(N, C, H, W) or (N, T, C, H, W) with 3 channels (RGB) or 1 (Y), or {frames} stacked in "
        "the channels"
    )


def _try(original: OriginalGraph, form: ForeignForm, told: Told) -> Candidate:
    frames = real_frames_for(original, window=form.window, height=_SIDES[0], width=_SIDES[1])
    given = original.run(form.feed(frames))
    form = _with_output(original, form, given, frames.shape[-2:])
    if told.scale not in (None, form.scale):
        raise ValueError(f"{original.name} upscales by {form.scale}, not by {told.scale}")
    sr = form.read(given, frames)
    if not np.isfinite(sr).all():
        return Candidate(form, -np.inf, sr)
    centre = frames[0, form.window // 2]
    picture = np.ascontiguousarray(np.rint(np.moveaxis(centre, 0, -1) * 255).astype(np.uint8))
    large = np.moveaxis(upscale(picture, form.scale).astype(np.float32) / 255, -1, 0)
    rescaled = max(_psnr(sr[0] * factor, large) for factor in _OTHER_RANGES)
    return Candidate(form, _psnr(sr[0], large), sr, rescaled)


def _with_output(
    original: OriginalGraph,
    form: ForeignForm,
    given: NDArray[np.float32],
    sides: tuple[int, ...],
) -> ForeignForm:
    """Scale, and what the output holds.

    Raises:
        MismatchError: The output is no picture of a whole multiple of the input's size.
    """
    scales = [have / side for have, side in zip(given.shape[-2:], sides, strict=True)]
    planes = int(np.prod(given.shape[1:-2]))
    frames_given, rest = divmod(planes, form.channels)
    whole = given.ndim in (4, 5) and scales[0] == scales[1] == int(scales[0])
    if not whole or rest or frames_given not in (1, form.window):
        raise MismatchError(
            f"{original.name} gives {given.shape} for {form.words.rpartition(',')[0]} of "
            f"{sides[0]}x{sides[1]}; expected {form.channels} channels, and sides of a whole "
            "multiple"
        )
    return replace(form, scale=int(scales[0]), frames_given=frames_given, output_rank=given.ndim)


def _choose(original: OriginalGraph, candidates: list[Candidate]) -> Candidate:
    """Take the candidate whose picture is clearly the best, or any if all agree."""
    _check_range(original, candidates)
    if len(candidates) == 1:
        return candidates[0]
    ranked = sorted(candidates, key=lambda candidate: -candidate.psnr_db)
    best, second = ranked[:2]
    first = min(candidates[:2], key=lambda candidate: candidate.form.peak)
    same_shape = best.picture.shape == second.picture.shape
    if len(candidates) == 2 and same_shape and _psnr(best.picture, second.picture) >= _EQUAL_DB:
        return first  # it scales with its input: white may be anything
    if best.psnr_db >= _LIKE_DB and best.psnr_db - second.psnr_db >= _CLEAR_DB:
        return best
    listed = "; ".join(candidate.option for candidate in ranked)
    raise ValueError(f"{original.name}: its input format is ambiguous; add one of: {listed}")


def _check_range(original: OriginalGraph, candidates: list[Candidate]) -> None:
    """Raise if a graph gives pictures whose white is not that of its input.

    Raises:
        MismatchError: It does.
    """
    is_like = any(candidate.psnr_db >= _LIKE_DB for candidate in candidates)
    if not is_like and any(candidate.rescaled_db >= _LIKE_DB for candidate in candidates):
        raise MismatchError(
            f"{original.name} gives pictures in another range than it takes (0..1 and 0..255); "
            "expected the same one: multiply its output at its source, and export it again"
        )


def _psnr(left: NDArray[np.floating], right: NDArray[np.floating]) -> float:
    error = float(np.mean((left.astype(np.float64) - right.astype(np.float64)) ** 2))
    return float(10 * np.log10(1 / max(error, 1e-12)))
