"""Data that single frames carry beside their pixels: closed captions, timecode, active format."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import side_data

if TYPE_CHECKING:
    import av

FRAME_DATA = {
    "A53_CC": "closed captions (EIA-608, EIA-708)",
    "S12M_TIMECODE": "SMPTE timecode of single frames",
    "AFD": "active format description (AFD)",
}
"""FFmpeg's name of a type of side data -> what it is."""

_SIDE = 16
"""Side of a carrier, pixels; the smallest that FFmpeg's scaler converts reliably."""


def describe_frame_data(types: Iterable[str]) -> list[str]:
    """Return what the types of side data are, in words."""
    present = set(types)
    return [words for name, words in FRAME_DATA.items() if name in present]


def frame_data_types(frame: av.VideoFrame) -> frozenset[str]:
    """Return the types of `FRAME_DATA` that a decoded frame carries."""
    return frozenset(FRAME_DATA) & side_data(frame).keys()


def make_carrier(frame: av.VideoFrame) -> av.VideoFrame | None:
    """Return a tiny frame with the side data of a decoded frame; None if it has none to keep.

    PyAV cannot add side data to a frame. It copies that of a frame which it scales, so a scaled
    frame whose pixels are overwritten has the side data and any pixels (`attach_frame_data`).
    """
    if not frame_data_types(frame):
        return None
    return frame.reformat(width=_SIDE, height=_SIDE, format="gray", threads=1)
