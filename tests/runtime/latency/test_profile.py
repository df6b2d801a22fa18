from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import numpy as np
import pytest

from support.places import ASSETS
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.config import ProfileConfig, parse_sizes
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile, ProfilePoint, with_left_out
from vsrc.runtime.latency.profile.text import profile_text
from vsrc.runtime.latency.rates import Rates
from vsrc.runtime.machine import Machine
from vsrc.runtime.report.interval import Interval

SCHEMA_FILE = ASSETS / "latency-profile.schema.json"
SHAPE = (90, 160)


def device_ms(size: EdgeSize) -> float:
    """A made-up device: 1 ms and what 16-wide vectors take for each convolution."""

    def wide(channels: int) -> int:
        return -(-channels // 16) * 16

    macs = 5 * 27 * wide(size.encoded) + 9 * wide(5 * size.fused) * wide(size.features)
    macs += 9 * wide(size.features) ** 2 * size.blocks + 9 * wide(size.features) * 48
    return 1.0 + macs * 14_400 / 40e9 * 1000 + 0.004 * wide(size.features) * size.blocks


def profile(sizes: tuple[EdgeSize, ...], *, noise: float = 0.0) -> LatencyProfile:
    generator = np.random.default_rng(0)
    points = []
    for size in sizes:
        value = device_ms(size) * float(generator.normal(1.0, noise))
        rounds = ((value,) * 5,) * 3
        ends = Interval(0.98 * value, 1.02 * value)
        points.append(ProfilePoint(size, *SHAPE, 40_000, 0.5, value, ends, rounds))
    machine = Machine("A CPU", "x86_64", 2, None, 8_000_000_000, "Linux 6.1", 0.1)
    made = LatencyProfile(
        started_utc="2026-01-02T03:04:05+00:00",
        scale=4,
        window_frames=5,
        session="ort-cpu fp32",
        precision="fp32",
        threads=2,
        versions={"python": "3.11.7"},
        machine=machine,
        rates=Rates(2, 200.0, 100.0, 20.0),
        points=tuple(points),
        null_reasons={"machine.core_limit": "the control group sets no limit"},
    )
    return dataclasses.replace(made, left_out=with_left_out(made))


def test_a_profile_is_read_as_it_was_written(tmp_path: Path) -> None:
    made = profile(ProfileConfig.sizes)
    made.write(tmp_path / "profile.json")
    assert LatencyProfile.read(tmp_path / "profile.json") == made
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(made.to_text()), schema)


def test_what_was_measured_is_told_as_it_was_measured() -> None:
    size = ProfileConfig.sizes[3]
    found = profile(ProfileConfig.sizes).predict(**vars(size), shape=SHAPE)
    assert found.measured
    assert found.latency_ms == device_ms(size)
    assert found.low_ms == pytest.approx(0.98 * device_ms(size))


@pytest.mark.parametrize("size", [EdgeSize(0, 20, 7), EdgeSize(0, 56, 5)])
def test_unmeasured_sizes_are_predicted_on_a_device_of_wide_vectors(size: EdgeSize) -> None:
    found = profile(ProfileConfig.sizes).predict(**vars(size))
    assert not found.measured
    assert found.latency_ms == pytest.approx(device_ms(size), rel=0.02)


def test_the_stated_error_is_that_of_left_out_points() -> None:
    noisy = profile(ProfileConfig.sizes, noise=0.05)
    (stated,) = noisy.left_out
    errors = []
    for index, point in enumerate(noisy.points):
        others = noisy.points[:index] + noisy.points[index + 1 :]
        rest = dataclasses.replace(noisy, points=others, left_out=())
        found = rest.predict(**vars(point.size)).latency_ms
        errors.append(abs(found / point.median_ms - 1))
    assert stated.median == pytest.approx(np.median(errors))
    assert stated.largest == pytest.approx(max(errors))
    # 5 % of noise cannot be predicted away, and a fit that follows it is not much worse.
    assert 0.01 < stated.median < 0.10
    guess = noisy.predict(encoded=0, features=20, blocks=7)
    assert guess.low_ms is not None
    assert guess.high_ms is not None
    assert guess.low_ms < device_ms(EdgeSize(0, 20, 7)) < guess.high_ms


def test_more_work_is_never_predicted_to_be_faster() -> None:
    noisy = profile(ProfileConfig.sizes, noise=0.1)
    before = 0.0
    for blocks in (1, 5, 11, 17, 40):
        now = noisy.predict(encoded=0, features=36, blocks=blocks).latency_ms
        assert now >= before
        before = now


def test_a_shape_that_was_not_measured_is_refused() -> None:
    with pytest.raises(MismatchError, match=r"180x320; .* 90x160"):
        profile(ProfileConfig.sizes[:4]).predict(encoded=0, features=8, blocks=1, shape=(180, 320))


def test_few_points_predict_nothing() -> None:
    made = profile(ProfileConfig.sizes[:3])
    assert made.left_out == ()
    assert "Too few sizes" in profile_text(made)
    with pytest.raises(MismatchError, match=r"3 sizes .*90x160"):
        made.predict(encoded=64, features=64, blocks=1)


def test_the_table_says_what_was_measured_and_how_well_it_predicts() -> None:
    text = profile_text(profile(ProfileConfig.sizes))
    assert "edge x4 over 5 frames on ort-cpu fp32, 2 threads, A CPU" in text
    assert f"{device_ms(ProfileConfig.sizes[0]):.2f}" in text
    assert "the 13 sizes at 90x160 are predicted to" in text


def test_the_table_warns_of_other_work() -> None:
    quiet = profile(ProfileConfig.sizes)
    busy = replace(quiet, machine=replace(quiet.machine, load_average=5.04))
    assert "load average 5.0" in profile_text(busy)
    idle = replace(quiet, machine=replace(quiet.machine, load_average=0.1))
    assert "load average" not in profile_text(idle)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"profile\.json: .*line 1 column 1"),
        ("[]", r"profile\.json: .*vsrc bench --profile"),
        ('{"kind": "vsrc-bench"}', r"profile\.json: .*vsrc bench --profile"),
        ('{"kind": "vsrc-latency-profile", "schema_version": 2}', "version 2, .* 1; "),
        ('{"kind": "vsrc-latency-profile", "schema_version": 1}', "'started_utc'"),
    ],
)
def test_what_is_no_profile_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(content)
    with pytest.raises(SpecError, match=message):
        LatencyProfile.read(path)
    with pytest.raises(SpecError, match=r"none\.json"):
        LatencyProfile.read(tmp_path / "none.json")


def test_sizes_are_read_from_text() -> None:
    assert parse_sizes("8x24x4, 16X32x9,8x24x4") == (EdgeSize(8, 24, 4), EdgeSize(16, 32, 9))
    for wrong in ("8x24", "8x24xa", "", "8x-1x4", "8x24x4,"):
        with pytest.raises(ValueError, match="ENCODEDxFEATURESxBLOCKS"):
            parse_sizes(wrong)
    with pytest.raises(ValueError, match=r"8x0x1 .*0x1x1"):
        parse_sizes("8x0x1")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sizes": ()}, "one size"),
        ({"shapes": ()}, "one size"),
        ({"shapes": ((0, 4),)}, "at least 1x1"),
        ({"rounds": 0}, "at least 1"),
        ({"precision": "int4"}, "precision='int4' .*fp32, fp16, int8, int8-cpu"),
        ({"threads": -1}, "threads=-1 "),
        ({"seconds": float("nan")}, "seconds=nan "),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProfileConfig(**options)  # type: ignore[arg-type]
