"""Limits of graphs: agreement, loss against ground truth, and how much of the work is int8."""

from __future__ import annotations

import dataclasses
import math

import pytest

from vsrc.export.checks.agreement import Agreement
from vsrc.export.checks.quality_gate import (
    GateLimits,
    check_agreement,
    check_int8_share,
    is_within,
    limits_of,
)
from vsrc.runtime.errors import GateError

FINE = Agreement(48, 80, 45.0, 1.0, 2.0, 0.1, truth_psnr_db=30.0, gain_db=-0.05)


def test_loss_counts_for_int8_alone() -> None:
    assert limits_of("fp16", min_psnr=None, max_loss=0.1) == GateLimits(50.0)
    assert limits_of("int8", min_psnr=None, max_loss=0.1) == GateLimits(40.0, -0.1)
    assert limits_of("int8-cpu", min_psnr=45.0, max_loss=0.3) == GateLimits(45.0, -0.3)


@pytest.mark.parametrize(
    ("psnr_db", "gain_db", "passes"),
    [
        (45.0, -0.1, True),
        (41.2, -1.28, False),  # near fp32, and yet much is lost
        (45.0, 0.4, True),  # nearer to ground truth than fp32
        (39.9, 0.0, False),
        (40.0, None, True),  # no ground truth: agreement alone
        (math.nan, None, False),
        (45.0, math.nan, False),
        (None, 0.0, True),  # the same picture
    ],
)
def test_a_graph_passes_within_both_limits(
    psnr_db: float | None, gain_db: float | None, passes: bool
) -> None:
    here = dataclasses.replace(FINE, psnr_db=psnr_db, gain_db=gain_db)
    limits = GateLimits(40.0, -0.1)
    assert is_within([FINE, here], limits) == passes
    if passes:
        check_agreement("int8", [FINE, here], precision="int8", limits=limits)
        return
    with pytest.raises(GateError, match=r"int8 .*48x80"):
        check_agreement("int8", [FINE, here], precision="int8", limits=limits)


def test_the_message_has_both_distances_from_ground_truth() -> None:
    here = dataclasses.replace(FINE, truth_psnr_db=36.74, gain_db=-1.28)
    with pytest.raises(GateError, match=r"-1\.28 dB .*35\.46 instead of 36\.74.* -0\.1 dB"):
        check_agreement("int8-cpu", [here], precision="int8-cpu", limits=GateLimits(40.0, -0.1))


def test_less_than_half_is_not_called_int8() -> None:
    check_int8_share("int8", 0.5, ["head"])
    with pytest.raises(GateError, match=r"int8: only 41 % .*\(head, tail\)"):
        check_int8_share("int8", 0.41, ["head", "tail"])
