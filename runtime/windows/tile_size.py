"""Choose the tile size: the whole frame, or the largest part that fits in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vsrc.runtime.memory import free_bytes, peak_growth
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.lane_choice import ParallelSession
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

_UNMEASURED_LANES = 4
"""Largest number of windows computed in parallel where the free memory is unknown."""

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


def choose_tile(
    session: Session, *, height: int, width: int, batch: int, tile: int | None = None
) -> TileChoice:
    """Choose the tile size for frames of a size, and how many windows are computed in parallel.

    As few windows as need be are computed in parallel before frames are divided into tiles.

    Args:
        session: Session to run; a small frame is run through it if memory must be measured.
        height: Height of the frames, LR pixels.
        width: Width of the frames, LR pixels.
        batch: Number of windows fed at once.
        tile: Side of a tile as asked for, LR pixels; 0 for whole frames, None to choose it.
    """
    choice = None if tile is None else TileChoice(tile)
    graph = session.graph
    if choice is None and (height > graph.height[1] or width > graph.width[1]):
        side = min(graph.height[1], graph.width[1])
        limit = f"{graph.width[1]}x{graph.height[1]}"
        note = f"{session.label} takes {limit} at most: {width}x{height} is fed in tiles of {side}"
        choice = TileChoice(side, note)
    side = (choice.tile if choice else 0) or max(height, width)
    window = min(side, height) * min(side, width)
    # An engine allocated the memory for its largest frame when it was opened.
    at_once = session.at_once if isinstance(session, AsyncSession) else 1
    lanes = session.most_lanes if isinstance(session, ParallelSession) else 0
    most = max(at_once, lanes)
    free = free_bytes()
    pixels: int | None = most * window
    if window * most > _SURE_PIXELS:
        pixels = _pixels_that_fit(session, free, height=height, width=width, batch=batch)
    if isinstance(session, ParallelSession) and lanes:
        fit = _UNMEASURED_LANES if pixels is None else pixels // window
        session.fit_lanes((height, width), max(1, min(lanes, fit)))
        at_once = 1
    if choice is not None or pixels is None or free is None or pixels >= at_once * window:
        return choice or TileChoice(0)
    tile = fit_tile(pixels // at_once, height=height, width=width, network=session.network)
    return TileChoice(
        tile,
        f"{width}x{height} at once would take more than the {free / 1e9:.1f} GB that are free: "
        f"using tiles of {tile} pixels",
    )


def _pixels_that_fit(
    session: Session, free: int | None, *, height: int, width: int, batch: int
) -> int | None:
    """LR pixels of all windows under way for which there is memory; None if unknown."""
    if free is None:
        return None
    grown = peak_growth(lambda: session(_trial_window(session.network)))
    if grown is None:
        return None
    network = session.network
    frame = height * width * network.scale**2 * 3 // 2
    budget = _SHARE * free - _FRAMES_IN_FLIGHT * frame
    if isinstance(session, RingSession):
        budget -= session.feature_bytes(height, width)
    if isinstance(session, StateSession):
        budget -= _STATES * session.state_bytes(height, width)
    return int(budget / (batch * max(1, grown) / _TRIAL_SIDE**2))


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
