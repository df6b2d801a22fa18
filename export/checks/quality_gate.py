"""Limits for graphs to be added to a package: agreement with torch, and the loss of int8 graphs.

The PSNR to fp32 says little by itself: at 41 dB a picture that is 25 dB from ground truth loses
nothing, and one that is 37 dB from it loses 1.3 dB. So an int8 graph must also keep within a loss
where there is ground truth, and most of its work must be int8: one that leaves its costly layers in
float keeps within any loss, and gains nothing.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass

from vsrc.export.checks.agreement import Agreement
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import Precision
from vsrc.runtime.text.decibels import format_gain

logger = logging.getLogger(__name__)

LIMITS_DB: dict[Precision, float] = {"fp32": 90.0, "fp16": 50.0, "int8": 40.0, "int8-cpu": 40.0}
"""Minimum PSNR before rounding, RGB, dB, at every tested size."""

LEAST_INT8_SHARE = 0.5
"""Minimum fraction of the multiply-accumulates of an int8 graph that are int8."""

_OTHER = "use fp16 on a GPU, or fp32"
_REMEDIES: dict[Precision, str] = {
    "fp32": "the exported graph does not compute the network's function; please report it",
    "fp16": "half precision is too coarse for this network: use fp32",
    "int8": f"more than half of the work would have to stay in float: {_OTHER}",
    "int8-cpu": "more than half of the work would have to stay in float: use fp32",
}


@dataclass(frozen=True)
class GateLimits:
    """What a graph has to keep within.

    Attributes:
        psnr_db: Minimum PSNR to the network in float32 before rounding, dB.
        gain_db: Minimum change of PSNR against ground truth, dB, negative for a loss; None for no
            limit.
    """

    psnr_db: float
    gain_db: float | None = None


def limits_of(precision: Precision, *, min_psnr: float | None, max_loss: float) -> GateLimits:
    """Limits of a precision.

    Args:
        precision: Precision of the graph.
        min_psnr: Limit instead of `LIMITS_DB`, dB; None for the default.
        max_loss: Maximum loss of an int8 graph, dB.
    """
    psnr_db = LIMITS_DB[precision] if min_psnr is None else min_psnr
    return GateLimits(psnr_db, -max_loss if precision in ("int8", "int8-cpu") else None)


def worst_db(agreements: Sequence[Agreement]) -> float:
    """Lowest PSNR of several sizes, dB; infinite if all are equal, NaN if one is NaN."""
    values = [
        math.inf if agreement.psnr_db is None else agreement.psnr_db for agreement in agreements
    ]
    return math.nan if any(math.isnan(value) for value in values) else min(values)


def check_agreement(
    name: str,
    agreements: Sequence[Agreement],
    *,
    precision: Precision,
    limits: GateLimits,
    judge: str = "torch",
) -> None:
    """Reject a graph that differs too much from the network, or loses too much.

    Args:
        name: Name of the graph or pair.
        agreements: Agreement at each size.
        precision: Precision of the graph.
        limits: What it has to keep within.
        judge: What it was compared with.

    Raises:
        GateError: The graph misses a limit at one of the sizes.
    """
    for agreement in agreements:
        here = worst_db([agreement])
        size = f"{agreement.height}x{agreement.width}"
        logger.info("%s: %.1f dB to %s at %s", name, here, judge, size)
        if not here >= limits.psnr_db:  # also catches NaN
            problem = (
                f"{name} is {here:.1f} dB from {judge} in float32 at {size}, the limit is "
                f"{limits.psnr_db:g} dB"
            )
        elif _is_beyond(agreement, limits):
            assert agreement.truth_psnr_db is not None
            assert agreement.gain_db is not None
            assert limits.gain_db is not None
            truth, gain = agreement.truth_psnr_db, agreement.gain_db
            problem = (
                f"{name} has {format_gain(gain)} against ground truth at {size} "
                f"({truth + gain:.2f} instead of {truth:.2f} dB), the limit is "
                f"{limits.gain_db:g} dB (--max-loss {-limits.gain_db:g})"
            )
        else:
            continue
        raise GateError(
            f"{problem}; nothing was written. {_REMEDIES[precision][:1].upper()}"
            f"{_REMEDIES[precision][1:]}; --allow-lossy keeps the graph and marks it"
        )


def check_int8_share(name: str, share: float, float_layers: Sequence[str]) -> None:
    """Reject a graph that is called int8 and mostly is not.

    Args:
        name: Name of the graph.
        share: Fraction of its multiply-accumulates that are int8.
        float_layers: Layers that stay in float.

    Raises:
        GateError: Less than half of them are.
    """
    if share >= LEAST_INT8_SHARE:
        return
    layers = f" ({', '.join(float_layers)})" if float_layers else ""
    raise GateError(
        f"{name}: only {100 * share:.0f} % of its multiply-accumulates would be int8, at least "
        f"{100 * LEAST_INT8_SHARE:.0f} % are needed; nothing was written. Layers stay in float "
        f"because int8 costs too much there{layers}: {_OTHER}, or calibrate again with a lower "
        "--min-psnr"
    )


def is_within(agreements: Sequence[Agreement], limits: GateLimits) -> bool:
    """Whether a graph keeps within its limits at all sizes."""
    return worst_db(agreements) >= limits.psnr_db and not any(
        _is_beyond(agreement, limits) for agreement in agreements
    )


def _is_beyond(agreement: Agreement, limits: GateLimits) -> bool:
    has_limit = agreement.gain_db is not None and limits.gain_db is not None
    return has_limit and not agreement.gain_db >= limits.gain_db  # type: ignore[operator]
