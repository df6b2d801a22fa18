"""A network with a state that anyone can check by eye, and the loop that it is judged against."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import DeviceMemoryError
from vsrc.runtime.spec import GraphSpec, NetworkSpec, StateSpec
from vsrc.runtime.windows.session import PendingPixels
from vsrc.runtime.windows.state_session import CarriedState, HostState, StateSession

Frames = NDArray[np.uint8]
Map = NDArray[np.float32]

SCALE, STRIDE = 2, 2


def following(frame: Frames, earlier: Map) -> Map:
    """Half the mean of the nine state values around, half the mean of the frame's 2x2 pixels.

    All sums are of multiples of a power of 2, so they are exact in any order.
    """
    height, width = frame.shape[0] // STRIDE, frame.shape[1] // STRIDE
    fresh = frame.reshape(height, STRIDE, width, STRIDE, 3).sum((1, 3)).transpose(2, 0, 1)
    around = np.pad(earlier, ((0, 0), (1, 1), (1, 1)))
    old = np.zeros_like(earlier)
    for row in range(3):
        for column in range(3):
            old += around[:, row : row + height, column : column + width]
    after: Map = (np.floor(old / 16) + fresh / 8).astype(np.float32)
    return after


def shown(state: Map) -> Frames:
    """The state as a picture."""
    picture = np.clip(state, 0, 255).astype(np.uint8).transpose(1, 2, 0)
    return picture.repeat(SCALE * STRIDE, 0).repeat(SCALE * STRIDE, 1)


def slow_recurrence(frames: Frames, cuts: Sequence[int] = ()) -> Frames:
    """Every frame in turn; a state of zeros at each cut."""
    height, width = frames.shape[1:3]
    restored, state = [], np.zeros((3, height // STRIDE, width // STRIDE), np.float32)
    for at, frame in enumerate(frames):
        if at in cuts:
            state = np.zeros_like(state)
        state = following(frame, state)
        restored.append(shown(state))
    return np.stack(restored)


class RecurrentSteps:
    """`slow_recurrence`, behind the `Steps` protocol.

    Attributes:
        steps: Number of steps so far.
        most_pixels: Largest frame that its memory holds.
    """

    label = "recurrence"
    ahead, at_once = 0, 1

    def __init__(self, window: int = 1, *, most_pixels: int = 1 << 40) -> None:
        self.network = NetworkSpec(
            "recurrence", {}, SCALE, window, halo=2 * STRIDE, parameters=0, gmac_per_lr_pixel=0.0,
            size_multiple=STRIDE, state=(StateSpec("memory", 3, STRIDE),),
        )  # fmt: skip
        self.graph = GraphSpec(
            "none", "0" * 64, 0, "fp32", "uint8", 18, (2, 9999), (2, 9999), (1, 99)
        )
        self.most_pixels = most_pixels
        self.steps = 0
        self.is_closed = False

    def step(self, lr: Frames, state: CarriedState | None, /) -> tuple[PendingPixels, CarriedState]:
        if lr.shape[2] * lr.shape[3] > self.most_pixels:
            raise DeviceMemoryError("too large")
        self.steps += 1
        frame = lr[0, lr.shape[1] // 2]
        if state is None:
            height, width = frame.shape[:2]
            earlier = np.zeros((3, height // STRIDE, width // STRIDE), np.float32)
        else:
            earlier = state.arrays()["memory"][0]
        after = following(frame, earlier)
        picture = shown(after)[None]
        return lambda: picture, HostState({"memory": after[None]})

    def close(self) -> None:
        self.is_closed = True


def recurrence(window: int = 1, **options: int) -> StateSession:
    return StateSession(RecurrentSteps(window, **options))
