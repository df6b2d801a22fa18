"""Compare a backend with ONNX Runtime on the CPU, on pictures, before it upscales anything.

Graphs are checked when they are exported, on ONNX Runtime's CPU kernels. A plugin or another
library computes the same graph with kernels of its own, perhaps in another precision.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

import numpy as np

from vsrc.runtime.errors import GateError
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.likeness import decibels
from vsrc.runtime.pixels import Pixels8
from vsrc.runtime.sample import sample_frames
from vsrc.runtime.spec import GraphSpec, NetworkSpec
from vsrc.runtime.text.decibels import format_gain
from vsrc.runtime.windows.session import Session

LEAST_DB = 40.0
"""Smallest PSNR to the reference, dB."""

LEAST_GAIN_DB = -0.1
"""Lowest change of PSNR against ground truth, dB; negative is a loss."""

_LR_SIZE = (90, 160)
"""H and W of the frames, LR pixels, where the graph takes it."""


@dataclass(frozen=True)
class PictureCheck:
    """Result of the comparison.

    Attributes:
        psnr_db: PSNR to the reference, dB; infinite if the pictures are equal.
        gain_db: PSNR of the session against ground truth, minus that of the reference, dB; negative
            if the session is worse.
    """

    psnr_db: float
    gain_db: float

    @property
    def passed(self) -> bool:
        """Whether both limits are kept; not if a value is not a number."""
        return self.psnr_db >= LEAST_DB and self.gain_db >= LEAST_GAIN_DB


def require_same_pictures(session: Session, open_reference: Callable[[], Session]) -> None:
    """Raise if a session does not give the pictures of the reference.

    Args:
        session: Session to check; uint8 frames are fed.
        open_reference: Opens the reference, ONNX Runtime on the CPU.

    Raises:
        GateError: A limit is missed.
    """
    with closing(open_reference()) as reference:
        check = compare_pictures(session, reference)
        label = reference.label
    if not check.passed:
        raise GateError(
            f"{session.label} differs from {label} on the sample clip: {check.psnr_db:.1f} dB "
            f"(the limit is {LEAST_DB:.0f} dB), {format_gain(check.gain_db)} against "
            f"ground truth (the limit is {LEAST_GAIN_DB} dB); use --backend ort"
        )


def compare_pictures(session: Session, reference: Session) -> PictureCheck:
    """Upscale a window of the sample clip with both, and compare the results."""
    network = session.network
    lr, truth = _window(network, session.graph)
    made, expected = (each(lr).reshape(-1, *truth.shape[1:]) for each in (session, reference))
    if network.time_scale == 2:
        between = made[1::2], expected[1::2]  # ground truth is known for the frames fed only
        error = _error(*between) if len(between[0]) else 0.0
        made, expected = made[::2], expected[::2]
        error = (error + _error(made, expected)) / 2 if len(between[0]) else _error(made, expected)
    else:
        truth = truth[network.radius : network.radius + 1]
        error = _error(made, expected)
    gain = decibels(_error(made, truth)) - decibels(_error(expected, truth))
    return PictureCheck(decibels(error), gain)


def _window(network: NetworkSpec, graph: GraphSpec) -> tuple[Pixels8, Pixels8]:
    """Return a window `(1, T, H, W, 3)` of the sample clip and its original `(T, sH, sW, 3)`."""
    multiple = network.size_multiple
    height, width = (
        min(max(-(-side // multiple) * multiple, limits[0]), limits[1])
        for side, limits in zip(_LR_SIZE, (graph.height, graph.width), strict=True)
    )
    frames = sample_frames(network.window)
    tall, wide = height * network.scale, width * network.scale
    repeats = (1, -(-tall // frames.shape[1]), -(-wide // frames.shape[2]), 1)
    truth = np.ascontiguousarray(np.tile(frames, repeats)[:, :tall, :wide])
    return downscale(truth, network.scale)[None], truth


def _error(left: Pixels8, right: Pixels8) -> float:
    return float(np.mean((left.astype(np.float64) - right.astype(np.float64)) ** 2))
