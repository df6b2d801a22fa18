"""A grown edge gives the pictures of the smaller one, and every weight of it can learn."""

from __future__ import annotations

import pytest
import torch

from vsrc.compressor.networks.loading.growth import grow
from vsrc.compressor.networks.video.edge import Edge, build_edge
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.latency.edge_size import EdgeSize

SMALL = EdgeSize(encoded=3, features=5, blocks=2)
STACKED = EdgeSize(encoded=0, features=5, blocks=2)


def made(size: EdgeSize, *, window: int = 3) -> Edge:
    network = build_edge(size, window=window, name="tiny").eval()
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


@pytest.mark.parametrize(
    ("start", "size"),
    [
        (SMALL, SMALL),
        (SMALL, EdgeSize(3, 7, 2)),
        (SMALL, EdgeSize(4, 5, 2)),
        (SMALL, EdgeSize(6, 9, 4)),
        (STACKED, EdgeSize(0, 8, 3)),
    ],
)
@pytest.mark.parametrize("merged", [False, True])
def test_a_grown_network_gives_the_same_pictures(
    start: EdgeSize, size: EdgeSize, *, merged: bool
) -> None:
    torch.manual_seed(3)
    small, large = made(start), made(size)
    source = small.collapsed() if merged else small
    grow(large, source.state_dict(), where="a")
    lr = torch.rand(1, 3, 3, 9, 8)
    with torch.no_grad():
        expected, found = small(lr), large(lr)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()


def test_what_is_new_learns_from_the_first_steps() -> None:
    torch.manual_seed(6)
    large = made(EdgeSize(6, 9, 4))
    grow(large, made(SMALL).state_dict(), where="a")
    before = {name: weight.clone() for name, weight in large.collapsed().state_dict().items()}
    optimizer = torch.optim.SGD(large.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        large(torch.rand(1, 3, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    after = large.collapsed().state_dict()
    still = {name: (after[name] == weight).float().mean().item() for name, weight in before.items()}
    # A feature that no pixel lights stays as it is; what looks at it, too.
    assert max(still.values()) < 0.5, still


@pytest.mark.parametrize(
    ("small", "window", "message"),
    [
        (EdgeSize(3, 10, 2), 3, "3x10x2 .*6x9x4"),
        (STACKED, 3, "0x5x2 .*6x9x4"),
        (EdgeSize(3, 5, 5), 3, "3x5x5 .*6x9x4"),
        (EdgeSize(3, 5, 2), 5, r"fusion\.conv\.weight .*\(5, 15, 3, 3\)"),
    ],
)
def test_another_network_is_refused(small: EdgeSize, window: int, message: str) -> None:
    with pytest.raises(MismatchError, match=message):
        grow(made(EdgeSize(6, 9, 4)), made(small, window=window).state_dict(), where="a")


def test_weights_of_something_else_are_refused() -> None:
    with pytest.raises(MismatchError, match=r"^a .*edge"):
        grow(made(SMALL), {"conv.weight": torch.zeros(3, 3, 3, 3)}, where="a")
