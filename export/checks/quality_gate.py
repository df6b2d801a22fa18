"""Limits of agreement with torch for graphs to be added to a package."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from vsrc.export.checks.agreement import Agreement
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import Precision

logger = logging.getLogger(__name__)

LIMITS_DB: dict[Precision, float] = {"fp32": 90.0, "fp16": 50.0, "int8": 40.0, "int8-cpu": 40.0}
"""Minimum PSNR before rounding, RGB, dB, at every tested size."""

_REMEDIES: dict[Precision, str] = {
    "fp32": "the exported graph does not compute the network's function; please report it",
    "fp16": "half precision is too coarse for this network: use fp32",
    "int8": "vsrc calibrate PACKAGE CLIPS --min-psnr DB leaves more layers in float",
    "int8-cpu": "vsrc calibrate PACKAGE CLIPS --min-psnr DB leaves more layers in float",
}


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
    limit_db: float | None,
    judge: str = "torch",
) -> None:
    """Reject a graph that differs too much from the network.

    Args:
        name: Name of the graph or pair.
        agreements: Agreement at each size.
        precision: Precision of the graph.
        limit_db: Limit instead of `LIMITS_DB`, dB; None for the default.
        judge: What it was compared with.

    Raises:
        GateError: The graph misses the limit at one of the sizes.
    """
    limit = LIMITS_DB[precision] if limit_db is None else limit_db
    for agreement in agreements:
        here = worst_db([agreement])
        logger.info(
            "%s: %.1f dB to %s at %dx%d", name, here, judge, agreement.height, agreement.width
        )
        if not here >= limit:  # also catches NaN
            raise GateError(
                f"{name} is {here:.1f} dB from {judge} in float32 at "
                f"{agreement.height}x{agreement.width}, "
                f"the limit is {limit:g} dB; nothing was written. {_REMEDIES[precision]}; "
                "--allow-lossy keeps the graph and marks it"
            )
