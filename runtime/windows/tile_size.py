"""Choose the tile size: the whole frame, or the largest part that fits in memory.

    free memory
    |--- margin ---|-- encoder --|-- queue, pictures at work --|-- features --|-- windows ------|
                     its lookahead                                              whole, or tiles

If whole frames do not fit, the queue becomes shorter first; then frames are fed in tiles: of those
that fit, large ones that compute few pixels twice. All tiles have one size, and where the largest
that fits does not divide the frame well, its neighbours overlap by more than their halos.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.encode.encoder_memory import encoder_bytes
from vsrc.runtime.errors import DeviceMemoryError, MismatchError
from vsrc.runtime.memory import free_bytes, peak_growth
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.windows.feature_ring import RingSession
from vsrc.runtime.windows.graph_io import padded_size
from vsrc.runtime.windows.lane_choice import ParallelSession
from vsrc.runtime.windows.session import AsyncSession, RenewableSession, Session
from vsrc.runtime.windows.state_session import StateSession
from vsrc.runtime.windows.tiles import QUEUE_DEPTH, rounded_halo, spans

_SURE_PIXELS = 640 * 480
"""LR pixels of all windows computed at once, up to which memory is not measured."""

_TRIAL_SIDE = 128
"""Side of the trial frame that memory per pixel is measured on, LR pixels."""

_SHARE = 0.6
"""Share of the free memory that is used without further thought."""

_MOST = 0.85
"""Share of the free memory that is used where less does not suffice."""

_LAST = 0.95
"""The same, where tiles would otherwise be mostly halo."""

_FOR_WINDOWS = 0.1
"""Share of the free memory that windows get in any case: where the encoder takes most of it, tiles
smaller than that save nothing, and cost time."""

_AT_WORK = 8
"""Upscaled pictures of 3 bytes a pixel outside of the queue: computed, checked, converted; fitted
to measured peaks (docs/results/memory.md)."""

_FIXED_BYTES = 15e6
"""What a run allocates whatever the size of its frames: code, stacks, the decoder."""

QUEUE_DEPTHS = (QUEUE_DEPTH, 1)
"""Depth of the queue of upscaled pictures, and what it shrinks to."""

_HALO_SHARE = 1 / 3
"""Largest share of halo among the computed pixels, where memory allows it."""

_NEARLY = 0.05
"""Pixels that a larger tile may compute beyond those of the best one, as a share of the frame."""

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
        queue: Depth of the queue of upscaled pictures.
    """

    tile: int
    note: str = ""
    queue: int = QUEUE_DEPTHS[0]


def choose_tile(
    session: Session,
    *,
    height: int,
    width: int,
    batch: int,
    tile: int | None = None,
    encoder: float | None = None,
) -> TileChoice:
    """Choose the tile size for frames of a size, and how many windows are computed in parallel.

    As few windows as need be are computed in parallel before frames are divided into tiles.

    Args:
        session: Session to run; a small frame is run through it if memory must be measured.
        height: Height of the frames, LR pixels.
        width: Width of the frames, LR pixels.
        batch: Number of windows fed at once.
        tile: Side of a tile as asked for, LR pixels; 0 for whole frames, None to choose it.
        encoder: Memory of the encoder, bytes; 0 where it keeps no frames, None for that of x264.

    Raises:
        DeviceMemoryError: The smallest tile does not fit.
        MismatchError: The graph takes frames no larger than its halo.
    """
    choice = _limited(session, height=height, width=width) if tile is None else TileChoice(tile)
    side = (choice.tile if choice else 0) or max(height, width)
    window = min(side, height) * min(side, width)
    # An engine allocated the memory for its largest frame when it was opened.
    at_once = session.at_once if isinstance(session, AsyncSession) else 1
    lanes = session.most_lanes if isinstance(session, ParallelSession) else 0
    memory, is_sure = None, window * max(at_once, lanes) <= _SURE_PIXELS
    if not is_sure:
        memory = _measure(
            session,
            height=height,
            width=width,
            batch=batch if lanes else batch * at_once,
            encoder=encoder,
        )
    if isinstance(session, ParallelSession) and lanes:
        fit = lanes if is_sure else memory.usual_pixels // window if memory else _UNMEASURED_LANES
        session.fit_lanes((height, width), max(1, min(lanes, fit)))
    if choice is not None or memory is None:
        return choice or TileChoice(0)
    return _choose(memory, height=height, width=width, network=session.network)


def _limited(session: Session, *, height: int, width: int) -> TileChoice | None:
    """Tiles of the largest size that the graph takes; None where it takes whole frames."""
    graph = session.graph
    if height <= graph.height[1] and width <= graph.width[1]:
        return None
    side, network = min(graph.height[1], graph.width[1]), session.network
    limit = f"{graph.width[1]}x{graph.height[1]}"
    halo = rounded_halo(network)
    if side < 2 * halo + network.size_multiple:
        raise MismatchError(
            f"{session.label} takes at most {limit}, and tiles of {width}x{height} need {halo} "
            f"pixels more on each side than they keep: write a graph with --shape {height}x{width} "
            f"(HxW), or one whose sides are well above {2 * halo}"
        )
    cheapest = cheapest_tile(side, height=height, width=width, network=network)
    side = cheapest if cheapest >= max(graph.height[0], graph.width[0]) else side
    note = f"{session.label} takes at most {limit}: using tiles of {side} for {width}x{height}"
    return TileChoice(side, note)


def _measure(
    session: Session, *, height: int, width: int, batch: int, encoder: float | None
) -> _Memory | None:
    """Measure what a run needs, and what there is; None where that is unknown."""
    if isinstance(session, RenewableSession):
        session.renew()  # memory kept from an earlier input would serve the trial, too
    if (free := free_bytes()) is None:
        return None
    trial = _trial_window(session.network)
    if (grown := peak_growth(lambda: session(trial))) is None:
        return None
    kept = 0
    if isinstance(session, RingSession):
        kept += session.feature_bytes(height, width)
    if isinstance(session, StateSession):
        kept += _STATES * session.state_bytes(height, width)
    output_pixels = height * width * session.network.scale**2
    return _Memory(
        free=free,
        kept=kept,
        of_pixel=batch * max(1, grown) / (trial.shape[2] * trial.shape[3]),
        output_pixels=output_pixels,
        encoder=encoder_bytes("x264", pixels=output_pixels) if encoder is None else encoder,
    )


@dataclass(frozen=True)
class _Memory:
    """What a run needs, and what there is.

    Attributes:
        free: Free memory, bytes.
        kept: Features or states of whole frames, bytes.
        of_pixel: Memory for each LR pixel of a batch of windows, bytes; of all that are computed at
            once, where their number cannot be chosen.
        output_pixels: Pixels of an upscaled frame.
        encoder: Memory of the encoder, bytes.
    """

    free: int
    kept: int
    of_pixel: float
    output_pixels: int
    encoder: float

    def held(self, queue: int) -> float:
        """Memory of all that is not the network: the frames behind it above all, bytes."""
        return self.encoder + 3 * (queue + _AT_WORK) * self.output_pixels + _FIXED_BYTES

    def pixels(self, share: float, held: float) -> int:
        """LR pixels of windows that fit beside all else; 0 or less for none."""
        return int((share * self.free - held - self.kept) / self.of_pixel)

    @property
    def usual_pixels(self) -> int:
        """LR pixels of windows that fit without further thought."""
        return self.pixels(_SHARE, self.held(QUEUE_DEPTHS[0]))

    def pixels_alone(self, share: float) -> int:
        """LR pixels of windows that fit into a share of the free memory by themselves."""
        return int((share * self.free - self.kept) / self.of_pixel)


def _choose(memory: _Memory, *, height: int, width: int, network: NetworkSpec) -> TileChoice:
    whole = height * width
    if memory.usual_pixels >= whole:
        return TileChoice(0)
    for queue in QUEUE_DEPTHS:
        if memory.pixels(_MOST, memory.held(queue)) >= whole:
            return TileChoice(0, queue=queue)
    shorter, good = min(height, width), good_tile(network)
    held = memory.held(QUEUE_DEPTHS[-1])
    pixels = max(memory.pixels(_MOST, held), memory.pixels_alone(_FOR_WINDOWS))
    if pixels < good * min(good, shorter):
        pixels = min(memory.pixels_alone(_LAST), good * min(good, shorter))
    tile = fit_tile(pixels, height=height, width=width, network=network)
    gigabytes = f"{memory.free / 1e9:.1f} GB that are free"
    if tile * min(tile, shorter) > pixels:
        need = (memory.kept + tile * min(tile, shorter) * memory.of_pixel) / _LAST / 1e9
        raise DeviceMemoryError(
            f"{width}x{height} needs {need:.1f} GB even in tiles of {tile} pixels, more than the "
            f"{gigabytes}; close other programs, or set --tile to try a size anyway"
        )
    if tile >= max(height, width):
        need = (held + memory.kept + whole * memory.of_pixel) / 1e9
        return TileChoice(
            0,
            f"{width}x{height} may take {need:.1f} GB, most of it for frames in the encoder, of "
            f"the {gigabytes}: should memory run out, use --codec prores or ffv1, which keep few",
            queue=QUEUE_DEPTHS[-1],
        )
    tile = cheapest_tile(tile, height=height, width=width, network=network)
    more = tiling_cost(height, width, tile=tile, network=network)
    return TileChoice(
        tile,
        f"{width}x{height} at once would take more than the {gigabytes}: using tiles of {tile} "
        f"pixels, which computes {more:.0%} more",
        queue=QUEUE_DEPTHS[-1],
    )


def good_tile(network: NetworkSpec) -> int:
    """Side of the smallest tile of whose pixels at most a third are halo, LR pixels."""
    halo = rounded_halo(network)
    side = 2 * halo / (1 - math.sqrt(1 - _HALO_SHARE))
    least = max(side, 2 * halo + network.size_multiple)
    return -(-math.ceil(least) // network.size_multiple) * network.size_multiple


def cheapest_tile(most: int, *, height: int, width: int, network: NetworkSpec) -> int:
    """Side of the largest tile that computes nearly as few pixels as the best, LR pixels.

    The candidates divide an axis into equal parts: n tiles of (size - 2 halo) / n and their halos.

    Args:
        most: Largest side.
        height: Height of the frame, LR pixels.
        width: Width of the frame, LR pixels.
        network: Network with its halo and size multiple.
    """
    multiple = network.size_multiple
    halo = rounded_halo(network)
    least = min(most, good_tile(network))
    sides = {most}
    for size in padded_size((height, width), multiple=multiple):
        inner = max(0, size - 2 * halo)
        counts = range(1, 2 + inner // max(1, least - 2 * halo))
        equal = (-(-(-(-inner // count) + 2 * halo) // multiple) * multiple for count in counts)
        sides.update(side for side in equal if least <= side <= most)

    costs = {side: tiling_cost(height, width, tile=side, network=network) for side in sides}
    limit = min(costs.values()) + _NEARLY
    return max(side for side, cost in costs.items() if cost <= limit)


def tiling_cost(height: int, width: int, *, tile: int, network: NetworkSpec) -> float:
    """Pixels that tiles compute beyond those of the frame, as a share of these."""
    sides = padded_size((height, width), multiple=network.size_multiple)
    fed = [
        sum(
            span.stop - span.start
            for span in spans(size, tile=tile, halo=network.halo, multiple=network.size_multiple)
        )
        for size in sides
    ]
    return fed[0] * fed[1] / (sides[0] * sides[1]) - 1


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
    halo = rounded_halo(network)
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
