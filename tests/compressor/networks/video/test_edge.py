"""Edge students: budgets, and that merging the training branches changes nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder
from vsrc.compressor.networks.loading.weights import load_state
from vsrc.compressor.networks.table import create
from vsrc.compressor.networks.video.edge import (
    Edge,
    EncodedEdge,
    FusionConv,
    RepConv,
    build_edge,
)
from vsrc.runtime.latency.edge_size import EdgeSize

ENCODED = EdgeSize(encoded=3, features=5, blocks=2)
STACKED = EdgeSize(encoded=0, features=5, blocks=2)

both = pytest.mark.parametrize("size", [ENCODED, STACKED], ids=["encoded", "stacked"])


@pytest.mark.parametrize(
    ("name", "budget"), [("edge-s", 65_000), ("edge-m", 130_000), ("edge-l", 450_000)]
)
def test_deployed_parameters_stay_in_the_budget(name: str, budget: int) -> None:
    network = create(name, scale=4)
    assert isinstance(network, Edge)
    deployed = sum(p.numel() for p in network.collapsed().parameters())
    assert deployed == network.spec.parameters <= budget


def test_merged_kernel_equals_the_branches_one_by_one() -> None:
    torch.manual_seed(0)
    block = RepConv(6).double()
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    x = torch.randn(2, 6, 7, 5, dtype=torch.float64)
    torch.testing.assert_close(block(x), _sum_of_branches(block, x), rtol=1e-12, atol=1e-12)


def _sum_of_branches(block: RepConv, x: Tensor) -> Tensor:
    """The slow way: each branch convolves the picture by itself."""
    total: Tensor = block.conv3(x) + block.conv1(x) + x + block.reduce(block.expand(x))
    return total


@both
@pytest.mark.parametrize(("scale", "window"), [(2, 3), (3, 5), (4, 7)])
def test_collapsed_network_gives_the_same_pictures(scale: int, window: int, size: EdgeSize) -> None:
    torch.manual_seed(1)
    network = build_edge(size, scale=scale, window=window, name="tiny").eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    lr = torch.rand(2, window, 3, 9, 11)
    with torch.no_grad():
        whole, plain = network(lr), network.collapsed()(lr)
    assert whole.shape == (2, 3, 9 * scale, 11 * scale)
    # Sums in another order: float32 rounding of values around the largest output.
    assert (whole - plain).abs().max() <= 1e-5 * whole.abs().max()


def test_fusion_is_that_of_differences_to_the_centre() -> None:
    torch.manual_seed(5)
    fusion = FusionConv(5, 3, 4, gain=2.0)
    features = torch.randn(2, 5, 3, 7, 6)
    apart = 2.0 * (features - features[:, 2:3])
    apart[:, 2] = features[:, 2]
    expected = fusion.conv(apart.flatten(1, 2))
    torch.testing.assert_close(fusion(features.flatten(1, 2)), expected, rtol=1e-5, atol=1e-5)
    merged = fusion.collapsed()
    assert merged.bias is not None
    again = fusion.weights_of(merged.weight, merged.bias)
    torch.testing.assert_close(again["conv.weight"], fusion.conv.weight, rtol=1e-6, atol=1e-7)


@both
def test_merged_weights_are_taken_and_every_branch_learns_on(size: EdgeSize) -> None:
    torch.manual_seed(4)
    taught, network = (build_edge(size, name="tiny").eval() for _ in range(2))
    plain = taught.collapsed()
    load_state(network, {key: value.half() for key, value in plain.state_dict().items()}, where="a")
    lr = torch.rand(1, 5, 3, 8, 8)
    # Half precision rounds a weight by up to 2^-11 of itself.
    torch.testing.assert_close(network(lr), plain(lr), rtol=0, atol=2e-3)
    network(lr).square().mean().backward()
    gradients = [p.grad for name, p in network.named_parameters() if "expand" not in name]
    assert all(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
    once, again = (from_merged(plain).collapsed().state_dict() for _ in range(2))
    assert all(torch.equal(once[key], again[key]) for key in once)


def from_merged(plain: Edge) -> Edge:
    network = build_edge(plain.size, name="tiny")
    load_state(network, plain.state_dict(), where="a")
    return network


def test_encode_and_fuse_make_the_whole() -> None:
    torch.manual_seed(2)
    network = build_edge(ENCODED, name="tiny").eval()
    assert isinstance(network, EncodedEdge)
    lr = torch.rand(1, 5, 3, 8, 8)
    with torch.no_grad():
        kept = torch.stack([network.encode(lr[:, index])[0] for index in range(5)], dim=1)
        torch.testing.assert_close(network.fuse((kept,), lr[:, 2]), network(lr), rtol=0, atol=1e-6)


def test_a_fresh_network_starts_near_the_enlarged_centre_frame() -> None:
    torch.manual_seed(3)
    network = create("edge-s").eval()
    lr = torch.rand(1, 5, 3, 8, 8)
    base = torch.nn.functional.interpolate(lr[:, 2], scale_factor=4.0, mode="bilinear")
    with torch.no_grad():
        assert (network(lr) - base).abs().mean() < 0.1


def test_the_stacked_one_encodes_no_frame_by_itself() -> None:
    assert isinstance(build_edge(ENCODED, name="tiny"), FrameEncoder)
    assert not isinstance(build_edge(STACKED, name="tiny"), FrameEncoder)


@both
def test_halo_is_the_receptive_field(size: EdgeSize) -> None:
    network = build_edge(size, name="tiny").collapsed().double()
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, 0.1, 1.0)  # all positive: nothing can cancel
    lr = torch.rand(1, 5, 3, 1, 41, dtype=torch.float64, requires_grad=True)
    network(lr)[0, 0, 0, 4 * 20].backward()
    assert lr.grad is not None
    reached = lr.grad.abs().sum(dim=(0, 1, 2, 3)).nonzero().flatten()
    halo = network.spec.halo
    assert (int(reached.min()), int(reached.max())) == (20 - halo, 20 + halo)


@pytest.mark.parametrize("window", [1, 2, 4])
def test_windows_without_a_centre_are_refused(window: int) -> None:
    with pytest.raises(ValueError, match=f"window={window} .*odd"):
        build_edge(STACKED, window=window, name="tiny")
