"""Where the crops of a shard are cut: a pure function of (seed, number of the shard).

shot  ──────────────[ run of frames ]──────────      a teacher upscales the run once,
                     │ ▢ ▢  ▢ ▢ ▢ │                  and many crops are cut from each of
                     └── L // 2 frames at each       its frames but the outermost
                         end have no whole window
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsrc.compressor.data.crop_shards import ShardManifest
from vsrc.compressor.data.library import ClipLibrary, Shot
from vsrc.compressor.data.window import CropWindow, cut
from vsrc.runtime.errors import DataError
from vsrc.runtime.picture.fast_resize import Planes, bicubic_down


@dataclass(frozen=True)
class CropPlace:
    """One crop.

    Attributes:
        frame: Centre frame, counted from the first of the run.
        top: First row, LR pixels.
        left: First column, LR pixels.
    """

    frame: int
    top: int
    left: int


@dataclass(frozen=True)
class CropRun:
    """Frames `[start, stop)` of clip number `clip`, and the crops that are cut from them."""

    clip: int
    start: int
    stop: int
    crops: tuple[CropPlace, ...]


def draw_runs(library: ClipLibrary, manifest: ShardManifest, shard: int) -> list[CropRun]:
    """Draw the runs of one shard; together they have `shard_crops` crops.

    Raises:
        DataError: No shot is long and large enough.
    """
    rng = np.random.default_rng((manifest.seed, shard))
    shots = _usable(library, manifest)
    centres = np.array([s.stop - s.start - manifest.clip_length + 1 for s in shots])
    runs: list[CropRun] = []
    missing = manifest.shard_crops
    while missing:
        shot = shots[int(rng.choice(len(shots), p=centres / centres.sum()))]
        length = min(manifest.run_frames, shot.stop - shot.start)
        start = int(rng.integers(shot.start, shot.stop - length + 1))
        places = _draw_places(library, manifest, (shot.clip, start, start + length), rng)[:missing]
        runs.append(CropRun(shot.clip, start, start + length, tuple(places)))
        missing -= len(places)
    return runs


def read_window(
    library: ClipLibrary, run: CropRun, frame: int, *, length: int, rng: np.random.Generator
) -> tuple[Planes, Planes]:
    """Read whole frames around one frame of a run: LR and HR, `(L, 3, h, w)` and `(L, 3, sh, sw)`.

    Args:
        library: Library that holds the clip.
        run: Run of frames.
        frame: Centre of the window, counted from the first frame of the run.
        length: L, frames of the window.
        rng: Random generator of the degradation; every window has its own draw.
    """
    first = run.start + frame - length // 2
    return _read(library, run, first, first + length, rng)


def read_clean_run(library: ClipLibrary, run: CropRun) -> Planes:
    """Read the LR frames of a run as a teacher sees them, `(T, 3, h, w)`.

    Where LR is damaged at random, LR by bicubic takes its place: teachers were trained on clean LR,
    and the student learns what they make of it.
    """
    clip = library.clips[run.clip]
    if clip.lr_frames(library.scale) is None:
        return bicubic_down(clip.hr_frames(library.scale)[run.start : run.stop], library.scale)
    return _read(library, run, run.start, run.stop, np.random.default_rng(0))[0]


def _read(
    library: ClipLibrary, run: CropRun, start: int, stop: int, rng: np.random.Generator
) -> tuple[Planes, Planes]:
    clip = library.clips[run.clip]
    height, width = (size // library.scale for size in clip.hr.shape[2:])
    return cut(clip, CropWindow(start, stop, 0, 0, height, width), scale=library.scale, rng=rng)


def cut_picture(picture: Planes, place: CropPlace, *, patch: int, scale: int) -> Planes:
    """Cut a crop from HR planes: `(..., H, W)` to `(..., patch, patch)`."""
    top, left = place.top * scale, place.left * scale
    return picture[..., top : top + patch, left : left + patch]


def cut_window(lr: Planes, place: CropPlace, *, side: int) -> Planes:
    """Cut a crop from the LR frames around it: `(L, 3, h, w)` to `(L, 3, side, side)`."""
    rows, columns = (slice(at, at + side) for at in (place.top, place.left))
    return lr[:, :, rows, columns]


def to_json_places(runs: Sequence[CropRun], library: ClipLibrary) -> list[dict[str, Any]]:
    """Convert runs to the JSON record beside a shard."""
    return [
        {
            "clip": library.clips[run.clip].name,
            "frames": [run.start, run.stop],
            "crops": [[place.frame, place.top, place.left] for place in run.crops],
        }
        for run in runs
    ]


def _usable(library: ClipLibrary, manifest: ShardManifest) -> list[Shot]:
    usable = [
        shot
        for shot in library.shots
        if shot.stop - shot.start >= manifest.clip_length
        and min(library.clips[shot.clip].hr.shape[2:]) >= manifest.patch
    ]
    if not usable:
        raise DataError(
            f"no shot has {manifest.clip_length} frames of at least {manifest.patch} pixels a "
            "side; give longer or larger videos, or take a smaller patch"
        )
    return usable


def _draw_places(
    library: ClipLibrary,
    manifest: ShardManifest,
    frames: tuple[int, int, int],
    rng: np.random.Generator,
) -> list[CropPlace]:
    number, start, stop = frames
    clip = library.clips[number]
    hr = clip.hr_frames(manifest.scale)
    side = manifest.patch // manifest.scale
    rows, columns = (size // manifest.scale - side + 1 for size in clip.hr.shape[2:])
    reach = manifest.clip_length // 2
    places = []
    for frame in range(reach, stop - start - (manifest.clip_length - 1 - reach)):
        green = hr[start + frame, 1].astype(np.int16)
        detail = _DetailOf(green)
        for _ in range(manifest.crops_per_frame):
            drawn = [
                CropPlace(frame, int(rng.integers(rows)), int(rng.integers(columns)))
                for _ in range(manifest.candidates)
            ]
            places.append(max(drawn, key=lambda at: detail.inside(at, manifest)))
    return places


class _DetailOf:
    """Mean difference of neighbouring pixels in any crop of a frame, from a table of sums.

    Args:
        green: Green plane, `(H, W)`.
    """

    def __init__(self, green: Planes) -> None:
        steps = np.zeros(green.shape, dtype=np.float64)
        steps[:-1] += np.abs(np.diff(green, axis=0))
        steps[:, :-1] += np.abs(np.diff(green, axis=1))
        self._sums = np.pad(steps.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def inside(self, place: CropPlace, manifest: ShardManifest) -> float:
        """Return the detail of the crop at this place."""
        top, left = place.top * manifest.scale, place.left * manifest.scale
        bottom, right = top + manifest.patch, left + manifest.patch
        sums = self._sums
        return float(sums[bottom, right] - sums[top, right] - sums[bottom, left] + sums[top, left])
