"""Which precision pays on a backend: agreement against time, and a plain recommendation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.spec import Precision

_WORTH = 0.95
"""A precision that is not at least so much faster is not worth what it loses."""


@dataclass(frozen=True)
class PrecisionCandidate:
    """One precision on one backend.

    Attributes:
        precision: Of the graph.
        psnr_db: Agreement with torch in float32 before rounding, at the worst size; None if equal.
        loss_db: Against ground truth, at the worst size; None where there is none.
        size_bytes: Of the graph.
        latency_ms: Median for one frame; None where it was not measured.
        refused: Why there is none; empty where there is.
    """

    precision: Precision
    psnr_db: float | None = None
    loss_db: float | None = None
    size_bytes: int = 0
    latency_ms: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class PrecisionChoice:
    """What was measured and what follows.

    Attributes:
        backend: What ran them ("ort-cpu").
        height: Of the LR frames.
        width: Of the LR frames.
        candidates: All precisions.
        efficient: Those that no other beats in both time and agreement.
        recommended: The fastest of them that is worth it.
        reason: Why, in a sentence.
    """

    backend: str
    height: int
    width: int
    candidates: tuple[PrecisionCandidate, ...]
    efficient: tuple[Precision, ...]
    recommended: Precision
    reason: str


def choose_precision(
    candidates: Sequence[PrecisionCandidate], *, backend: str, height: int, width: int
) -> PrecisionChoice:
    """Compare candidates that were measured with fp32, which is one of them."""
    measured = [one for one in candidates if one.latency_ms is not None]
    base = next(one for one in measured if one.precision == "fp32")
    efficient = [one for one in measured if not any(_beats(other, one) for other in measured)]
    fast = [one for one in efficient if _ratio(one, base) <= _WORTH]
    best = min(fast, key=lambda one: _ratio(one, base), default=base)
    if best is base:
        reason = f"nothing is more than {100 * (1 - _WORTH):.0f} % faster than fp32 here"
    else:
        lost = "" if best.loss_db is None else f", {-best.loss_db:+.3f} dB against ground truth"
        reason = (
            f"{_ratio(best, base):.2f} x the time of fp32, {_decibels(best.psnr_db)} from it{lost}"
        )
    names = tuple(one.precision for one in efficient)
    return PrecisionChoice(backend, height, width, tuple(candidates), names, best.precision, reason)


def _beats(left: PrecisionCandidate, right: PrecisionCandidate) -> bool:
    """At least as good in both, and better in one."""
    pair = [(_time(one), -_agreement(one)) for one in (left, right)]
    return pair[0] != pair[1] and all(a <= b for a, b in zip(*pair, strict=True))


def _ratio(one: PrecisionCandidate, base: PrecisionCandidate) -> float:
    return _time(one) / _time(base)


def _time(one: PrecisionCandidate) -> float:
    assert one.latency_ms is not None
    return one.latency_ms


def _agreement(one: PrecisionCandidate) -> float:
    return float("inf") if one.psnr_db is None else one.psnr_db


def _decibels(value: float | None) -> str:
    return "no difference" if value is None else f"{value:.1f} dB"
