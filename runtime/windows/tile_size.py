"""Choose the tile size: the whole frame, or the largest part that fits in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vsrc.runtime.memory import free_bytes, peak_growth
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.session import AsyncSession, Session
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.tiles import spans

_SURE_PIXELS = 640 * 480
"""LR pixels of all windows computed at once, up to which memory is not measured."""

_TRIAL_SIDE = 128
"""Side of the trial frame that memory per pixel is measured on, LR pixels."""

_SHARE = 0.6
"""Share of the free memory that is used; the rest is for the encoder and a margin."""

_FRAMES_IN_FLIGHT = 80
"""Number of upscaled frames in queues and in the encoder's lookahead."""

_STATES = 3
"""Number of states in memory: the last two, and a copy on the way to the disk."""


@dataclass(frozen=True)
class TileChoice:
    """A tile size and the reason for it.

    Attributes:
        tile: Side of a tile with its halo, LR pixels; 0 for the whole frame.
        note: Line to report to the user; empty if there is nothing to report.
    """

    tile: int
    note: str = ""


def choose_tile(session: Session, *, height: int, width: int, batch: int) -> TileChoice:
    """Choose the tile size for frames of a size.

    Args:
        session: Session to run; a small frame is run through it if memory must be measured.
        height: Height of the frames, LR pixels.
        width: Width of the frames, LR pixels.
        batch: Number of windows fed at once.
    """
    graph = session.graph
    if height > graph.height[1] or width > graph.width[1]:
        tile = min(graph.height[1], graph.width[1])
        limit = f"{graph.width[1]}x{graph.height[1]}"
        note = f"{session.label} takes {limit} at most: {width}x{height} is fed in tiles of {tile}"
        return TileChoice(tile, note)
    # An engine allocated the memory for its largest frame when it was opened.
    at_once = session.at_once if isinstance(session, AsyncSession) else 1
    if height * width * at_once <= _SURE_PIXELS or (free := free_bytes()) is None:
        return TileChoice(0)
    grown = peak_growth(lambda: session(_trial_window(session.network)))
    if grown is None:
        return TileChoice(0)
    network = session.network
    frame = height * width * network.scale**2 * 3 // 2
    budget = _SHARE * free - _FRAMES_IN_FLIGHT * frame
    if isinstance(session, RingSession):
        budget -= session.feature_bytes(height, width)
    if isinstance(session, StateSession):
        budget -= _STATES * session.state_bytes(height, width)
    pixels = int(budget / (at_once * batch * max(1, grown) / _TRIAL_SIDE**2))
    if pixels >= height * width:
        return TileChoice(0)
    tile = fit_tile(pixels, height=height, width=width, network=network)
    return TileChoice(
        tile,
        f"{width}x{height} at once would take more than the {free / 1e9:.1f} GB that are free: "
        f"using tiles of {tile} pixels",
    )


def check_tile(tile: int, network: NetworkSpec) -> None:
    """Raise if tiles consist of halo alone; see `spans`."""
    if tile:
        spans(
            2 * (tile + network.size_multiple),
            tile=tile,
            halo=network.halo,
            multiple=network.size_multiple,
        )


def fit_tile(pixels: int, *, height: int, width: int, network: NetworkSpec) -> int:
    """Side of a tile of at most `pixels`, but at least what the halo requires, LR pixels."""
    multiple = network.size_multiple
    halo = -(-network.halo // multiple) * multiple
    least = 2 * halo + max(multiple, halo)
    shorter = min(height, width)
    # A tile longer than the shorter side of the frame becomes a strip.
    side = int(max(pixels, 1) ** 0.5)
    if side > shorter:
        side = pixels // shorter
    return max(least, side) // multiple * multiple


def _trial_window(network: NetworkSpec) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    side = max(_TRIAL_SIDE, network.size_multiple)
    return np.zeros((1, network.window, side, side, 3), np.uint8)
