"""What every network promises, checked on a small one of each kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F

from vsrc.compressor.features.tap_shapes import tap_shapes
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.carried_state import run_step, zero_state
from vsrc.compressor.networks.video.vespcn import LARGEST_FLOW

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vsrc.runtime.spec import Argument

TINY: list[tuple[str, dict[str, Argument]]] = [
    ("imdn", {"scale": 2, "features": 16, "blocks": 1}),
    ("imdn-as", {"scale": 3, "features": 16, "blocks": 1}),
    ("imdn-rtc", {"blocks": 2}),
    ("imdn-rte", {"blocks": 2}),
    ("rlfn", {"scale": 3, "features": 16, "blocks": 2, "squeezed": 4}),
    ("mobile-rrn", {"scale": 2, "features": 8, "blocks": 2, "window": 3}),
    (
        "mobile-rrn",
        {"scale": 3, "features": 8, "blocks": 1, "window": 5, "both_directions": True},
    ),
    ("fsrcnn", {"scale": 3, "features": 12, "shrunk": 6, "maps": 2}),
    ("fsrcnn", {"scale": 2, "channels": 1, "features": 12, "shrunk": 6, "maps": 2}),
    ("edsr", {"scale": 4, "blocks": 2, "features": 16}),
    ("rcan", {"scale": 3, "groups": 2, "blocks": 1, "features": 16, "reduction": 4}),
    ("san", {"scale": 2, "groups": 1, "blocks": 1, "features": 16, "reduction": 4}),
    ("vespcn", {"scale": 4}),
    ("vespcn", {"scale": 2, "channels": 1, "body": "plain", "layers": 4}),
    ("vsrnet", {"scale": 2, "window": 3}),
    ("vsrnet", {"scale": 3, "channels": 3, "fusion": "early", "window": 3}),
]
IDS = [f"{name}-{'-'.join(map(str, arguments.values()))}" for name, arguments in TINY]
each = pytest.mark.parametrize(("name", "arguments"), TINY, ids=IDS)

# What sees the whole picture; a halo counts convolutions alone.
GLOBAL = (
    "cca.conv_du.2.weight",
    "attention.excite.weight",
    "non_local.out.weight",
    "esa.conv4.weight",
)


def make(name: str, arguments: dict[str, Argument]) -> nn.Module:
    torch.manual_seed(0)
    return create(name, **arguments)


def picture(network: nn.Module, height: int, width: int) -> Tensor:
    window = spec_of(network).window
    frames = () if window == 1 else (window,)
    return torch.rand((2, *frames, 3, height, width))


@each
@pytest.mark.parametrize("size", [(8, 12), (7, 5), (2, 3)])
def test_any_size_is_enlarged(
    name: str, arguments: dict[str, Argument], size: tuple[int, int]
) -> None:
    network = make(name, arguments).eval()
    scale = spec_of(network).scale
    with torch.no_grad():
        sr = network(picture(network, *size))
    assert sr.shape == (2, 3, scale * size[0], scale * size[1])
    assert torch.isfinite(sr).all()


@each
def test_the_spec_makes_the_same_network_again(name: str, arguments: dict[str, Argument]) -> None:
    network = make(name, arguments)
    spec = spec_of(network)
    again = create(spec.name, **spec.arguments)
    shapes = {key: tensor.shape for key, tensor in network.state_dict().items()}
    assert shapes == {key: tensor.shape for key, tensor in again.state_dict().items()}
    assert spec_of(again) == spec


@each
def test_taps_are_features_in_order(name: str, arguments: dict[str, Argument]) -> None:
    network = make(name, arguments)
    spec = spec_of(network)
    taps = tap_shapes(network, [*spec.stages, *filter(None, [spec.hr_features])])
    if spec.hr_features:
        assert taps[spec.hr_features].ratio == spec.scale


@each
def test_a_step_lowers_the_loss_and_reaches_every_weight(
    name: str, arguments: dict[str, Argument]
) -> None:
    network = make(name, arguments)
    lr = picture(network, 12, 12)
    frame = lr if lr.dim() == 4 else lr[:, lr.shape[1] // 2]
    hr = F.interpolate(frame, scale_factor=float(spec_of(network).scale), mode="nearest")
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    before = F.l1_loss(network(lr), hr)
    before.backward()  # type: ignore[no-untyped-call]
    for key, weight in network.named_parameters():
        assert weight.grad is not None, key
        assert torch.isfinite(weight.grad).all(), key
    optimiser.step()
    assert F.l1_loss(network(lr), hr) < before


@pytest.mark.parametrize("level", [0.0, 0.5])
@each
def test_a_flat_picture_has_a_gradient(
    name: str, arguments: dict[str, Argument], level: float
) -> None:
    network = make(name, arguments)
    network(torch.full_like(picture(network, 8, 8), level)).sum().backward()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in network.parameters())


@each
def test_halo_is_the_receptive_field(name: str, arguments: dict[str, Argument]) -> None:
    network = make(name, arguments)
    for key, weight in network.named_parameters():
        if key.endswith(GLOBAL):
            torch.nn.init.zeros_(weight)
        elif not key.startswith("motion."):  # whose flow then stays small
            torch.nn.init.uniform_(weight, 0.01, 0.02)  # positive: no path is cut by a ReLU
    spec = spec_of(network.double())
    allowance = LARGEST_FLOW if name == "vespcn" else 0
    side = 2 * spec.halo + 2 * spec.size_multiple + 5
    lr = picture(network, side, 12).double().requires_grad_()
    at = side // 2
    cell = slice(spec.scale * at, spec.scale * (at + 1))
    seen = [lr]
    if spec.state:  # one step, for the result and for the next state
        state = zero_state(spec, lr)
        seen += [one.requires_grad_() for one in state]
        sr, (following,) = run_step(network, lr, state)
        following[..., at, :].sum().backward(retain_graph=True)  # type: ignore[no-untyped-call]
    else:
        sr = network(lr)
    sr[..., cell, :].sum().backward()  # type: ignore[no-untyped-call]
    rows = torch.cat([_rows_with_gradient(one) for one in seen])
    reach = int((rows - at).abs().max())
    # A stride or a shuffle reaches its farthest from some positions only.
    slack = 2 * spec.size_multiple
    assert spec.halo - allowance - slack <= reach <= spec.halo - allowance


def _rows_with_gradient(fed: Tensor) -> Tensor:
    assert fed.grad is not None
    return fed.grad.abs().sum((-1, *range(fed.dim() - 2))).nonzero()
