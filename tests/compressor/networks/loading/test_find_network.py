"""What a student's checkpoint may be to it: all of it, a part, or the seed it grows from."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from vsrc.compressor.networks.loading.find_network import find_network
from vsrc.compressor.networks.video.edge import Edge, edge
from vsrc.runtime.errors import MismatchError

SMALL = {"encoded": 3, "features": 5, "blocks": 2, "window": 3}


@pytest.fixture(scope="module")
def trained() -> Edge:
    torch.manual_seed(2)
    network = edge(encoded=3, features=5, blocks=2, window=3).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.3)
    return network


@pytest.fixture(scope="module")
def merged(trained: Edge, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint as deployed packages hold it."""
    path = tmp_path_factory.mktemp("merged") / "small.pt"
    torch.save(trained.collapsed().state_dict(), path)
    return path


def test_a_part_is_taken_from_merged_weights_too(trained: Edge, merged: Path) -> None:
    found = find_network(
        "edge", scale=2, weights=merged, arguments={**SMALL}, weights_as="partial"
    ).network
    assert isinstance(found, Edge)
    features = torch.rand(1, 3, 3, 6, 7)
    with torch.no_grad():
        expected, got = (network.fusion(features.flatten(1, 2)) for network in (trained, found))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)
        body = torch.rand(1, 5, 6, 7)
        torch.testing.assert_close(found.body[1](body), trained.body[1](body), rtol=1e-5, atol=1e-5)


def test_a_seed_grows(trained: Edge, merged: Path) -> None:
    larger = {**SMALL, "features": 8, "blocks": 3}
    found = find_network("edge", scale=4, weights=merged, arguments=larger, weights_as="seed")
    assert found.weights == merged
    lr = torch.rand(1, 3, 3, 6, 7)
    with torch.no_grad():
        torch.testing.assert_close(found.network(lr), trained(lr), rtol=1e-4, atol=1e-4)


def test_only_an_edge_grows(merged: Path) -> None:
    with pytest.raises(MismatchError, match=r"small\.pt .*Fsrcnn: .*whole or partial"):
        find_network("fsrcnn", scale=4, weights=merged, arguments={}, weights_as="seed")


def test_nothing_that_fits_is_refused(merged: Path) -> None:
    with pytest.raises(MismatchError, match=r"small\.pt: .* \d+ tensors"):
        find_network("fsrcnn", scale=4, weights=merged, arguments={}, weights_as="partial")
