"""The network that weights belong to, with its arguments, is found by their names and shapes."""

from __future__ import annotations

from types import ModuleType

import pytest
import torch

from vsrc.compressor.networks import create
from vsrc.compressor.networks.loading.fits import find_fits
from vsrc.compressor.networks.loading.recognition import describe_nearest
from vsrc.runtime.spec import Argument

CASES: list[tuple[str, dict[str, Argument]]] = [
    ("imdn", {"scale": 3, "features": 16, "blocks": 2}),
    ("imdn-rtc", {"scale": 2}),
    ("imdn-rte", {"scale": 2}),
    ("rlfn", {"scale": 2, "features": 16, "blocks": 3, "squeezed": 4}),
    ("etds", {"scale": 3, "features": 8, "blocks": 2}),
    ("edsr", {"scale": 2, "features": 16, "blocks": 3}),
    ("rcan", {"scale": 2, "features": 16, "groups": 2, "blocks": 3}),
    ("edge", {"scale": 2, "encoded": 3, "features": 5, "blocks": 2, "window": 3}),
    ("edge", {"scale": 2, "encoded": 0, "features": 5, "blocks": 2, "window": 3}),
    ("edge-s", {"scale": 3, "window": 7}),
]


@pytest.mark.parametrize(("name", "arguments"), CASES)
def test_name_and_arguments_are_found(name: str, arguments: dict[str, Argument]) -> None:
    with torch.device("meta"):
        state = create(name, **arguments).state_dict()
    (fit,) = find_fits({f"module.{key}": tensor for key, tensor in state.items()}, among=[name])
    assert fit.name == name
    assert arguments.items() <= fit.arguments.items()


def test_weights_that_fit_every_scale_are_listed_at_each() -> None:
    with torch.device("meta"):
        state = create("fsrcnn", features=8, shrunk=4, maps=2).state_dict()
    fits = find_fits(state, among=["fsrcnn"])
    assert {fit.scale for fit in fits} >= {2, 3, 4}
    assert all(fit.arguments["maps"] == 2 for fit in fits)
    assert [fit.scale for fit in find_fits(state, among=["fsrcnn"], scale=3)] == [3]


def test_weights_of_another_network_fit_none_and_raise_nothing(spandrel: ModuleType) -> None:
    compact = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=3, upscale=2)
    state = compact.state_dict()
    assert find_fits(state, among=["edge", "edsr", "imdn-rtc", "rlfn"]) == []
    assert describe_nearest(state, torch.nn.Identity()).startswith("No network of the table")
