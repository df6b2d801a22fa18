from __future__ import annotations

from fractions import Fraction

import pytest
import torch

from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.features.tap_shapes import TapShape, tap_shapes
from vsrc.compressor.features.taps import open_taps, spec_of
from vsrc.compressor.networks import create, names


def test_shapes_of_taps_are_found_without_a_picture() -> None:
    student, teacher = create("edge-s"), create("edvr-xs")
    assert tap_shapes(student, ["body.3"]) == {"body.3": TapShape(32, Fraction(1))}
    assert tap_shapes(teacher, ["hr_features"]) == {"hr_features": TapShape(16, Fraction(4))}


def test_a_feature_of_every_frame_of_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'encoder' .*edge .*\(5, 8, 16, 16\)"):
        tap_shapes(create("edge", encoded=8), ["encoder"])


@pytest.mark.parametrize("name", ["edge-s", "edvr-xs", "imdn-rtc", "fsrcnn", "vespcn", "vsrnet"])
def test_shapes_are_those_of_a_real_forward_pass(name: str) -> None:
    torch.manual_seed(0)
    network = create(name)
    spec = spec_of(network)
    paths = [path for path in (spec.hr_features, *spec.stages) if path]
    side = 8 * spec.size_multiple
    with torch.no_grad(), open_taps(network, paths) as features:
        ClipNetwork(network)(torch.rand(1, spec.window, 3, side, side), [spec.window // 2])
    for path, shape in tap_shapes(network, paths).items():
        channels, height = features[path].shape[1:3]
        assert shape == TapShape(channels, Fraction(height, side)), path


def test_every_network_of_the_table_has_taps_that_exist() -> None:
    for name in names():
        if name in ("edsr", "rcan", "san", "stdan", "edvr-l"):
            continue
        network = create(name)
        tap_shapes(network, spec_of(network).stages)
