"""Compare the pictures of engines with those of the same graphs on ONNX Runtime's CPU provider.

This judges the engine as it will run: its kernels, its tactics and the copies to and from the
device. What its layers are said to compute in is only the explanation.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vsrc.export.config import Size
from vsrc.export.graphs.check_frames import real_window
from vsrc.runtime.backends.device.engine_file import ComparedPictures
from vsrc.runtime.errors import GateError
from vsrc.runtime.pixels import Pixels
from vsrc.runtime.spec import NetworkSpec, Precision
from vsrc.runtime.windows.session import AsyncSession, Session

FRAMES = 24
"""Number of consecutive frames of the sample clip at each size."""
PICTURE_LIMITS_DB: dict[Precision, float] = {"fp32": 70.0, "fp16": 50.0, "int8": 40.0}
"""Minimum PSNR of the 8-bit pictures, RGB, dB, at each size."""
_WARMUP = 3
"""Windows before timing: the first initializes, the second is captured as a graph."""
_FASTER = 0.97
"""Ratio of durations under which an engine counts as faster."""
_LOSSIER_DB = 0.5
"""Difference of PSNR over which an engine counts as lossier."""


@dataclass(frozen=True)
class EngineTrial:
    """Pictures and speed of the engines of one network.

    Attributes:
        compared: Comparison at each size.
        window_ms: Median duration of a window at the last size, with its copies, ms.
    """

    compared: tuple[ComparedPictures, ...]
    window_ms: float

    @property
    def worst_db(self) -> float:
        """Lowest PSNR, dB; infinite if all pictures are equal."""
        return min(float("inf") if one.psnr_db is None else one.psnr_db for one in self.compared)


def try_engine(
    engine: Session,
    cpu: Session,
    sizes: Sequence[Size],
    step: Callable[[int], None] = lambda _: None,
) -> EngineTrial:
    """Upscale real frames with an engine and with the CPU, and compare the pictures.

    Args:
        engine: Session on the engine, or on a pair of them.
        cpu: Session of the same graphs on the CPU.
        sizes: H and W of the frames, LR pixels.
        step: Called with the number of finished frames.
    """
    compared, durations = [], [0.0]
    for at, (height, width) in enumerate(sizes):
        durations = []
        errors, largest = 0.0, 0
        frames = real_window(FRAMES, height=height, width=width)[0]
        for index, (window, key) in enumerate(_windows(frames, engine.network)):
            begin = time.perf_counter()
            here = _upscale(engine, window, key)
            durations.append(time.perf_counter() - begin)
            difference = np.abs(here.astype(np.int16) - _upscale(cpu, window, key))
            errors += float(np.mean(np.square(difference.astype(np.float64))))
            largest = max(largest, int(difference.max()))
            step(at * FRAMES + index + 1)
        mean = errors / FRAMES
        psnr = float(10 * np.log10(255.0**2 / mean)) if mean else None
        compared.append(ComparedPictures(height, width, FRAMES, psnr, largest))
        _forget(engine, cpu)
    return EngineTrial(tuple(compared), 1000 * statistics.median(durations[_WARMUP:]))


def check_pictures(name: str, trial: EngineTrial, *, precision: Precision, layers: str) -> None:
    """Reject an engine whose pictures differ too much.

    Args:
        name: Name of the graph or pair.
        trial: Result of `try_engine`.
        precision: Precision of the graph.
        layers: Precisions of its layers, which may explain it.

    Raises:
        GateError: A size misses the limit.
    """
    limit = PICTURE_LIMITS_DB[precision]
    for each in trial.compared:
        if each.psnr_db is not None and not each.psnr_db >= limit:
            raise GateError(
                f"the {name} engine's pictures are {each.psnr_db:.1f} dB from those of the same "
                f"graph on the CPU at {each.height}x{each.width}, the limit is {limit:g} dB; no "
                f"engine was written (convolutions: {layers}). Use another precision; "
                "--allow-lossy keeps the engine and marks it"
            )


def check_gain(name: str, trial: EngineTrial, plain: EngineTrial, *, precision: Precision) -> None:
    """Reject an engine that shows no sign of computing in its precision.

    Args:
        name: Name of the graph or pair.
        trial: Result of the engine, whose builder chose precisions and does not tell them.
        plain: Result of an engine of the same graph that was built with fp32 alone.
        precision: Precision of the graph.

    Raises:
        GateError: It is neither faster nor lossier.
    """
    is_faster = trial.window_ms < _FASTER * plain.window_ms
    is_lossier = trial.worst_db < plain.worst_db - _LOSSIER_DB
    if not (is_faster or is_lossier):
        raise GateError(
            f"TensorRT does not report the precision of the {name} engine's layers; it is no "
            f"faster than in fp32 ({trial.window_ms:.2f} and {plain.window_ms:.2f} ms per window) "
            f"and gives the same pictures, so it is not {precision}; no engine was written: use "
            "--precision fp32, or TensorRT 10 or newer"
        )


def _windows(frames: Pixels, network: NetworkSpec) -> list[tuple[Pixels, tuple[int, ...]]]:
    """Each frame's window `(1, T, H, W, 3)` and the keys of its frames."""
    offsets = range(-network.radius, network.window - network.radius)
    keys = [
        tuple(min(max(at + offset, 0), len(frames) - 1) for offset in offsets)
        for at in range(len(frames))
    ]
    return [(frames[list(key)][None], key) for key in keys]


def _upscale(session: Session, window: Pixels, key: tuple[int, ...]) -> Pixels:
    if isinstance(session, AsyncSession):
        return session.start(window, [key])()
    return session(window)


def _forget(*sessions: Session) -> None:
    """Drop features and states: the next frames are those of another video."""
    for session in sessions:
        forget = getattr(session, "forget", None)
        if forget is not None:
            forget()
