"""Scan clips once for shot boundaries, and for motion and brightness of each frame."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vsrc.calibration.progress import CalibrationCallback, CalibrationProgress, silent
from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.decode.clip_source import ClipSource
from vsrc.runtime.decode.clips.picture_reader import PictureReader
from vsrc.runtime.decode.cuts import mark_shots
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.probe import check_supported
from vsrc.runtime.decode.reader import Reader
from vsrc.runtime.decode.sources import Source, find_sources
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.hashing import file_sha256

_SAMPLES = 48
"""Smallest number of rows and columns on which motion and brightness are measured."""
_FPS = Fraction(25)
_TELL_EVERY = 25


@dataclass(frozen=True, eq=False)
class Scenes:
    """Shots, motion, brightness and contrast of one clip.

    Attributes:
        source: Files of the clip.
        sha256: Hash of the file; for an image sequence, the hash over the hashes of its files.
        pts: PTS of each frame.
        starts: Index of the first frame of each shot; the first is 0.
        motion: Mean absolute change of luma from the previous frame, 0..255; 0 at the start of a
            shot.
        brightness: Mean luma of each frame, 0..255.
        lightest: Luma that one in a hundred pixels of each frame reaches, 0..255.
        contrast: Standard deviation of luma within each frame, 0..127.5.
    """

    source: Source
    sha256: str
    pts: NDArray[np.int64]
    starts: tuple[int, ...]
    motion: NDArray[np.float32]
    brightness: NDArray[np.float32]
    lightest: NDArray[np.float32]
    contrast: NDArray[np.float32]

    @property
    def shots(self) -> Iterator[range]:
        """Yield the frame indices of each shot."""
        for start, stop in zip(self.starts, (*self.starts[1:], len(self.pts)), strict=True):
            yield range(start, stop)


def lr_sources(inputs: Sequence[str | Path], *, degradation: str) -> list[Source]:
    """List the named clips, or their LR files where a data set has them.

    Args:
        inputs: Videos, images, folders and globs.
        degradation: Degradation that the network was trained for: `bi` selects the `bi` LR files.

    Raises:
        MediaError: A glob matches nothing.
        DataError: A folder contains neither videos nor images.
    """
    sources: list[Source] = []
    for text in inputs:
        if not Path(text).is_dir():
            sources += find_sources([text])
            continue
        for clip in find_clips(Path(text)).clips:
            low = _low(clip, degradation)
            sources.append(Source(low.name, low.files, is_pictures=not low.is_video))
    return sources


def _low(clip: ClipSource, degradation: str) -> ClipSource:
    for made, twin in clip.twins.items():
        if made in ("given", degradation):
            return twin
    return clip


def survey(
    source: Source, *, place: tuple[int, int] = (1, 1), progress: CalibrationCallback = silent
) -> Scenes:
    """Decode a clip once and measure shots, motion, brightness and contrast.

    Args:
        source: The clip.
        place: Its number, from 1, and the number of all clips, for the progress.
        progress: Called now and then.

    Raises:
        MediaError: It cannot be decoded, or the runtime would reject it (HDR, interlaced).
    """
    pts: list[int] = []
    starts: list[int] = []
    motion: list[float] = []
    brightness: list[float] = []
    lightest: list[float] = []
    contrast: list[float] = []
    last: NDArray[np.float32] | None = None
    with closing(open_source(source)) as reader:
        total = reader.info.estimated_frames
        for index, frame in enumerate(frames_of(reader)):
            small = _small_luma(frame.rgb)
            begins = frame.starts_shot or last is None
            if begins:
                starts.append(index)
            motion.append(0.0 if begins or last is None else float(np.abs(small - last).mean()))
            brightness.append(float(small.mean()))
            lightest.append(float(np.percentile(small, 99)))
            contrast.append(float(small.std()))
            pts.append(frame.pts)
            last = small
            if index % _TELL_EVERY == 0:
                progress(CalibrationProgress("survey", source.name, index, total, *place))
    return Scenes(
        source=source,
        sha256=_hash(source.files),
        pts=np.array(pts, dtype=np.int64),
        starts=tuple(starts),
        motion=np.array(motion, dtype=np.float32),
        brightness=np.array(brightness, dtype=np.float32),
        lightest=np.array(lightest, dtype=np.float32),
        contrast=np.array(contrast, dtype=np.float32),
    )


def open_source(source: Source) -> Reader:
    """Open the runtime's reader of a source, with the same checks as `vsrc infer`."""
    reader: Reader
    if source.is_pictures:
        reader = PictureReader(source.files, fps=_FPS, name=source.name)
    else:
        reader = VideoReader(source.files[0])
    try:
        check_supported(reader.info, allow_hdr=False, deinterlace=False)
    except BaseException:
        reader.close()
        raise
    return reader


def frames_of(reader: Reader) -> Iterator[SourceFrame]:
    """Frames of a reader, with scene cuts marked by the runtime's detector."""
    return mark_shots(reader)


def _small_luma(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    down, right = (max(1, size // _SAMPLES) for size in rgb.shape[:2])
    weights = np.array([0.2126, 0.7152, 0.0722], dtype=np.float32)
    return np.asarray(rgb[::down, ::right] @ weights, dtype=np.float32)


def _hash(files: Sequence[Path]) -> str:
    if len(files) == 1:
        return file_sha256(files[0])
    digest = hashlib.sha256()
    for path in files:
        digest.update(bytes.fromhex(file_sha256(path)))
    return digest.hexdigest()
