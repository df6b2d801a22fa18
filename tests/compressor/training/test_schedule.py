from __future__ import annotations

import pytest

from vsrc.compressor.training.schedule import rate_factor


def test_the_rate_rises_linearly_and_then_falls_like_a_cosine() -> None:
    factors = [rate_factor(s, steps=44, schedule="cosine", warmup=4) for s in range(45)]
    assert factors[:4] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert factors[4] == 1.0
    assert factors[24] == pytest.approx(0.5)
    assert factors[44] == pytest.approx(0.0)
    assert factors[4:] == sorted(factors[4:], reverse=True)


def test_a_short_run_does_not_end_before_it_has_risen() -> None:
    factors = [rate_factor(s, steps=20, schedule="constant", warmup=1000) for s in range(20)]
    assert factors == pytest.approx([1 / 3, 2 / 3, *[1.0] * 18])


def test_a_cosine_can_start_again() -> None:
    factors = [
        rate_factor(s, steps=12, schedule="cosine-restarts", milestones=(1 / 3,), floor=0.1)
        for s in range(12)
    ]
    assert factors[0] == factors[4] == 1.0
    assert factors[2] == pytest.approx(0.55)
    assert factors[8] == pytest.approx(0.55)
    assert factors[3] > 0.1
    assert factors[11] > 0.1


def test_steps_halve_at_their_milestones() -> None:
    factors = [rate_factor(s, steps=10, schedule="step", milestones=(0.5, 0.8)) for s in range(10)]
    assert factors == [1.0] * 5 + [0.5] * 3 + [0.25] * 2


def test_steps_may_fall_by_another_factor() -> None:
    factors = [
        rate_factor(epoch, steps=400, schedule="step", milestones=(0.5,), step_factor=0.1)
        for epoch in (0, 199, 200, 399)
    ]
    assert factors == pytest.approx([1.0, 1.0, 0.1, 0.1])


def test_constant_stays() -> None:
    assert rate_factor(999, steps=10, schedule="constant") == 1.0
