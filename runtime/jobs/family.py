"""Choose the shipped student for a source: trained on clean frames, or on compressed ones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsrc.runtime.decode.compression import measure_bits_per_pixel
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.decode.sources import Source
from vsrc.runtime.shipped_models import COMPRESSED_STUDENT, DEFAULT_STUDENT, shipped

_LIMITS = {
    "h264": 0.089,
    "hevc": 0.078,
    "mpeg2video": 0.36,
    "mpeg4": 0.26,
    "vp9": 0.089,
    "av1": 0.077,
}
"""Codec -> bits per pixel (of 640x360) below which the student for compressed video gives more
PSNR; other codecs were not measured: docs/results/source-limits.md."""


@dataclass(frozen=True)
class FamilyChoice:
    """A shipped student, and why.

    Attributes:
        name: Name of the package.
        reason: Property of the source that decided.
    """

    name: str
    reason: str

    @property
    def package(self) -> Path:
        """Folder of the package."""
        return shipped(self.name)

    def __str__(self) -> str:
        return f"{self.name} selected: {self.reason}; -m selects another model"


def choose_family(source: Source, info: VideoInfo) -> FamilyChoice:
    """Choose by codec and bits per pixel; a source that cannot be measured counts as clean."""
    if source.is_pipe or source.is_pictures:
        kind = "a pipe" if source.is_pipe else "an image sequence"
        return FamilyChoice(DEFAULT_STUDENT, f"the compression of {kind} is unknown")
    limit = _LIMITS.get(info.codec)
    if limit is None:
        return FamilyChoice(DEFAULT_STUDENT, f"the source is {info.codec}")
    measured = measure_bits_per_pixel(source.files[0], info)
    if measured is None:
        return FamilyChoice(DEFAULT_STUDENT, "the bit rate of the source is unknown")
    is_compressed = measured < limit
    relation = "below" if is_compressed else "at or above"
    return FamilyChoice(
        COMPRESSED_STUDENT if is_compressed else DEFAULT_STUDENT,
        f"{info.codec} with {measured:.2g} bits per pixel (scaled to 640x360), {relation} {limit}",
    )
