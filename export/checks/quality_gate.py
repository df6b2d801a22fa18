"""Which agreement with torch a graph must reach to become part of a package."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence

from vsrc.export.checks.agreement import Agreement
from vsrc.runtime.errors import GateError
from vsrc.runtime.spec import Precision

logger = logging.getLogger(__name__)

LIMITS_DB: dict[Precision, float] = {"fp32": 90.0, "fp16": 50.0, "int8": 40.0, "int8-cpu": 40.0}
"""Least PSNR before rounding, RGB, at any size that was tried."""

_REMEDIES: dict[Precision, str] = {
    "fp32": "the exporter wrote another function than the network; please report it",
    "fp16": "half precision is too coarse for this network: use fp32",
    "int8": "vsrc calibrate PACKAGE CLIPS --min-psnr DB leaves more layers in float",
    "int8-cpu": "vsrc calibrate PACKAGE CLIPS --min-psnr DB leaves more layers in float",
}


def worst_db(agreements: Sequence[Agreement]) -> float:
    """Lowest PSNR of several sizes; infinite where all are equal, NaN where one is no number."""
    values = [
        math.inf if agreement.psnr_db is None else agreement.psnr_db for agreement in agreements
    ]
    return math.nan if any(math.isnan(value) for value in values) else min(values)


def check_agreement(
    name: str, agreements: Sequence[Agreement], *, precision: Precision, limit_db: float | None
) -> None:
    """Refuse a graph that is too far from torch.

    Args:
        name: Of the graph, or of the pair.
        agreements: Its agreement at each size.
        precision: Of the graph.
        limit_db: In place of `LIMITS_DB`.

    Raises:
        GateError: It misses the limit at one of the sizes.
    """
    limit = LIMITS_DB[precision] if limit_db is None else limit_db
    for agreement in agreements:
        here = worst_db([agreement])
        logger.info("%s: %.1f dB to torch at %dx%d", name, here, agreement.height, agreement.width)
        if not here >= limit:  # also catches NaN
            raise GateError(
                f"{name} is {here:.1f} dB from torch in float32 at "
                f"{agreement.height}x{agreement.width}, "
                f"the limit is {limit:g} dB; nothing was written. {_REMEDIES[precision]}; "
                "--allow-lossy keeps the graph and marks it"
            )
