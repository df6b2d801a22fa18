"""Recommend a precision for a backend, by agreement and latency."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.runtime.spec import Precision
from vsrc.runtime.text.decibels import format_gain, format_psnr

_WORTH = 0.95
"""Maximum latency relative to fp32 for a precision to be recommended."""


@dataclass(frozen=True)
class PrecisionCandidate:
    """Measurements of one precision on one backend.

    Attributes:
        precision: Precision of the graph.
        psnr_db: PSNR to torch in float32 before rounding, at the worst size, dB; None if equal.
        gain_db: Change of PSNR against ground truth, at the worst size, dB, negative for a loss;
            None without ground truth.
        size_bytes: Size of the graph, bytes.
        latency_ms: Median latency of a frame, ms; None if not measured.
        refused: Why the graph was not written; empty if it was.
    """

    precision: Precision
    psnr_db: float | None = None
    gain_db: float | None = None
    size_bytes: int = 0
    latency_ms: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class PrecisionChoice:
    """Measurements of all precisions, and the recommendation.

    Attributes:
        backend: Backend of the measurements ("ort-cpu").
        height: Height of the LR frames, pixels.
        width: Width of the LR frames, pixels.
        candidates: All precisions.
        efficient: Pareto-optimal precisions in latency and agreement.
        recommended: Recommended precision: the fastest of these with enough speed-up.
        reason: Reason in one sentence.
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
    measured = [candidate for candidate in candidates if candidate.latency_ms is not None]
    base = next(candidate for candidate in measured if candidate.precision == "fp32")
    efficient = [
        candidate
        for candidate in measured
        if not any(_beats(other, candidate) for other in measured)
    ]
    fast = [candidate for candidate in efficient if _ratio(candidate, base) <= _WORTH]
    best = min(fast, key=lambda candidate: _ratio(candidate, base), default=base)
    if best is base:
        reason = f"nothing is more than {100 * (1 - _WORTH):.0f} % faster than fp32 here"
    else:
        gain = ""
        if best.gain_db is not None:
            gain = f", {format_gain(best.gain_db)} against ground truth"
        ratio, agreement = _ratio(best, base), format_psnr(best.psnr_db)
        reason = f"{ratio:.2f} x the time of fp32, {agreement} from it{gain}"
    names = tuple(candidate.precision for candidate in efficient)
    return PrecisionChoice(backend, height, width, tuple(candidates), names, best.precision, reason)


def _beats(left: PrecisionCandidate, right: PrecisionCandidate) -> bool:
    """Whether `left` is at least as good in both, and better in one."""
    pair = [(_time(candidate), -_agreement(candidate)) for candidate in (left, right)]
    return pair[0] != pair[1] and all(a <= b for a, b in zip(*pair, strict=True))


def _ratio(candidate: PrecisionCandidate, base: PrecisionCandidate) -> float:
    return _time(candidate) / _time(base)


def _time(candidate: PrecisionCandidate) -> float:
    assert candidate.latency_ms is not None
    return candidate.latency_ms


def _agreement(candidate: PrecisionCandidate) -> float:
    return float("inf") if candidate.psnr_db is None else candidate.psnr_db
