"""Time stamps of decoded audio that follow the source without its jitter.

    stamps of the source   0   21   44   63 | 41   62   85      ms; a recording ends at the bar
    stamps that are used   0   21   42   63 | 41   62   83      the overlap is cut, jitter is not

A stamp that is a little off is jitter. Where the following frames are off by the same, audio is
missing or overlaps, and stays at the times of the source: so errors do not add up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from fractions import Fraction
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

_JITTER = Fraction(15, 1000)
"""Difference that is no error by itself, seconds: less than a frame of video at 60 frames/s."""

_ERROR = Fraction(1, 10)
"""Difference that is an error even if it is that of a single frame, seconds."""

_AHEAD = 3
"""Following frames that must agree on a difference."""


class AudioStamps:
    """Stamps of the frames of one track, in units of a sample."""

    def __init__(self) -> None:
        self._frames: deque[AudioFrame] = deque()
        self._following: Fraction | None = None

    def add(self, frames: Iterable[AudioFrame]) -> list[AudioFrame]:
        """Take decoded frames; return those whose stamps are known, and set."""
        self._frames += frames
        return [self._next() for _ in range(len(self._frames) - _AHEAD)]

    def rest(self) -> list[AudioFrame]:
        """Return the frames that are held back."""
        return [self._next() for _ in range(len(self._frames))]

    def _next(self) -> AudioFrame:
        frame = self._frames.popleft()
        stamp = self._stamp(frame)
        self._following = stamp + _length(frame)
        frame.pts = round(stamp * frame.sample_rate)
        frame.time_base = Fraction(1, frame.sample_rate)
        return frame

    def _stamp(self, frame: AudioFrame) -> Fraction:
        """Return when a frame begins, seconds."""
        time, following = _time(frame), self._following
        if time is None:
            return following or Fraction(0)
        if following is None or abs(time - following) >= _ERROR:
            return time
        if abs(time - following) < _JITTER or not self._frames:
            return following
        expected = time
        for before, after in zip((frame, *self._frames), self._frames, strict=False):
            expected += _length(before)
            later = _time(after)
            if later is not None and abs(later - expected) >= _JITTER:
                return following
        return time


def _time(frame: AudioFrame) -> Fraction | None:
    return None if frame.pts is None else frame.pts * time_base(frame)


def _length(frame: AudioFrame) -> Fraction:
    return Fraction(frame.samples, frame.sample_rate)
