"""The latency profile of the `edge` family on one device, written by `vsrc bench --profile`.

A distillation with a latency limit reads it to predict, before training, the latency of a student
of a given width and depth on that device. docs/bench.md explains every field.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.fit import LatencyFit, LeftOut, fit_latency, left_out
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.machine import Machine
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.report.interval import Interval
from vsrc.runtime.schema import Limits, UtcTime, from_json, to_json

KIND = "vsrc-latency-profile"
SCHEMA_VERSION = 1


@dataclass(frozen=True)
class ProfilePoint:
    """Latency of one size at one shape.

    Attributes:
        size: Channels and depth of the network.
        height_px: Height of an LR frame, pixels.
        width_px: Width of an LR frame, pixels.
        parameters: Number of weights as deployed.
        gmac_per_frame: Multiply-accumulates for one output frame, 1e9.
        median_ms: Median of all samples, from uint8 frames in main memory to uint8 frames in main
            memory, ms.
        interval_ms: 95 % interval of the median, ms, from the variation between rounds. None for
            fewer than three rounds.
        rounds_ms: All samples after warm-up, one list per round, ms.
    """

    size: EdgeSize
    height_px: int
    width_px: int
    parameters: int
    gmac_per_frame: float
    median_ms: float
    interval_ms: Interval | None
    rounds_ms: Annotated[
        tuple[Annotated[tuple[float, ...], Limits(min_items=1)], ...], Limits(min_items=1)
    ]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of an LR frame."""
        return self.height_px, self.width_px


@dataclass(frozen=True)
class Prediction:
    """Predicted latency of a size.

    Attributes:
        latency_ms: Median latency, ms.
        measured: Whether this size was measured; otherwise it is predicted from those that were.
        low_ms: Lower end, ms, of the 95 % interval of the measurement; of a prediction, of the
            range given by the largest leave-one-out error. None where unknown.
        high_ms: Upper end of the same, ms.
    """

    latency_ms: float
    measured: bool
    low_ms: float | None
    high_ms: float | None


@dataclass(frozen=True)
class LatencyProfile:
    """Latency of sizes of the `edge` family, measured on one device in one run.

    Attributes:
        started_utc: Start time, ISO 8601, UTC.
        scale: SR/LR side ratio of the networks.
        window_frames: Number of frames fed at once.
        session: Label of the session that ran them ("ort-cpu fp32").
        precision: Precision of their graphs.
        threads: CPU threads inside one operator.
        versions: Package -> version, of the libraries used.
        machine: Machine that ran them.
        rates: Arithmetic and copy rates of that machine.
        points: Measurements of every size at every shape.
        left_out: Leave-one-out error of the prediction, for each shape; empty if there are too few
            points.
        null_reasons: Dotted path of each field that is null -> why.
    """

    started_utc: UtcTime
    scale: int
    window_frames: int
    session: str
    precision: str
    threads: int
    versions: dict[str, str]
    machine: Machine
    rates: Rates
    points: Annotated[tuple[ProfilePoint, ...], Limits(min_items=1)]
    left_out: tuple[LeftOut, ...] = ()
    null_reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a latency profile needs at least one point")

    @staticmethod
    def read(path: Path) -> LatencyProfile:
        """Read a profile.

        Raises:
            SpecError: No such file, not a latency profile, or one of a newer version.
        """
        return from_json(LatencyProfile, _content(path), where=str(path))

    def write(self, path: Path) -> None:
        """Write it as JSON, atomically."""
        write_file(path, self.to_text())

    def to_text(self) -> str:
        """Format it as JSON."""
        head = {"kind": KIND, "schema_version": SCHEMA_VERSION}
        return json.dumps({**head, **to_json(self)}, indent=2, allow_nan=False) + "\n"

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Measured shapes, `(height, width)` of an LR frame, in the order measured."""
        return list(dict.fromkeys(point.shape for point in self.points))

    def predict(
        self, *, encoded: int, features: int, blocks: int, shape: tuple[int, int] | None = None
    ) -> Prediction:
        """Predict the latency of a student of this size on the device of the profile.

        Args:
            encoded: Number of channels of a frame's features.
            features: Number of channels of the body.
            blocks: Number of 3x3 convolutions of the body.
            shape: Height and width of an LR frame; None if only one was measured.

        Raises:
            MismatchError: The shape was not measured, or too few sizes were.
            ValueError: The size is invalid.
        """
        size = EdgeSize(encoded, features, blocks)
        shape = self._measured_shape(shape)
        for point in self.points:
            if (point.size, point.shape) == (size, shape):
                ends = point.interval_ms
                low, high = (None, None) if ends is None else (ends.low, ends.high)
                return Prediction(point.median_ms, True, low, high)
        if (fit := self._fits[shape]) is None:
            raise MismatchError(
                f"the profile holds {len(self._of_shape(shape))} sizes at {shape[0]}x{shape[1]}: "
                "too few to predict another; measure more with vsrc bench --profile --sizes"
            )
        value = fit.latency_ms(size)
        error = next(
            (error_at.largest for error_at in self.left_out if error_at.shape == shape), None
        )
        if error is None:
            return Prediction(value, False, None, None)
        return Prediction(value, False, value / (1 + error), value * (1 + error))

    def _measured_shape(self, shape: tuple[int, int] | None) -> tuple[int, int]:
        there = self.shapes
        if shape is None and len(there) == 1:
            return there[0]
        if shape is None or tuple(shape) not in there:
            have = ", ".join(f"{height}x{width}" for height, width in there)
            asked = "no shape was given" if shape is None else f"{shape[0]}x{shape[1]}"
            raise MismatchError(f"{asked}; the latency profile holds {have}")
        return shape

    def _of_shape(self, shape: tuple[int, int]) -> list[tuple[EdgeSize, float]]:
        return [(point.size, point.median_ms) for point in self.points if point.shape == shape]

    @cached_property
    def _fits(self) -> dict[tuple[int, int], LatencyFit | None]:
        common = {"scale": self.scale, "window": self.window_frames}
        return {shape: fit_latency(self._of_shape(shape), **common) for shape in self.shapes}


def with_left_out(profile: LatencyProfile) -> tuple[LeftOut, ...]:
    """Compute the leave-one-out errors for each shape that has enough points."""
    errors = []
    for shape in profile.shapes:
        measured = profile._of_shape(shape)
        error = left_out(measured, shape, scale=profile.scale, window=profile.window_frames)
        if error is not None:
            errors.append(error)
    return tuple(errors)


def _content(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise SpecError(f"{path}: not readable as a latency profile: {error}") from error
    if not isinstance(data, dict) or data.pop("kind", None) != KIND:
        raise SpecError(f"{path}: not a latency profile; write one: vsrc bench --profile {path}")
    version = data.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise SpecError(
            f"{path}: schema version {version}, this vsrc reads {SCHEMA_VERSION}; measure again: "
            f"vsrc bench --profile {path}"
        )
    data.pop("job", None)  # the mark of `mark_report`
    return data
