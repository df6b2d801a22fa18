from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.features.clip_network import ClipNetwork, window_indices
from vsrc.compressor.networks import create
from vsrc.runtime.spec import NetworkSpec


def one_window_after_the_other(network: nn.Module, clip: Tensor, *, window: int) -> Tensor:
    """The slow, obvious way: pad the clip by repeating its edge frames, then slide."""
    first, last = clip[:, :1], clip[:, -1:]
    padded = torch.cat([first] * (window // 2) + [clip] + [last] * (window // 2), dim=1)
    frames = [network(padded[:, t : t + window]) for t in range(clip.shape[1])]
    return torch.stack(frames, dim=1)


@pytest.mark.parametrize("name", ["edge-s", "edvr-xs", "fastdvdnet"])
@pytest.mark.parametrize("length", [1, 3, 7])
def test_every_frame_is_restored_from_its_window(name: str, length: int) -> None:
    torch.manual_seed(0)
    network, clip = create(name).eval(), torch.rand(2, length, 3, 8, 12)
    with torch.no_grad():
        expected = one_window_after_the_other(network, clip, window=5)
        found = ClipNetwork(network)(clip, range(length))
    # Other batch sizes choose other kernels, which round differently.
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_a_size_that_needs_padding_gives_the_same_as_windows() -> None:
    torch.manual_seed(0)
    network, clip = create("edvr-xs").eval(), torch.rand(1, 3, 3, 9, 10)
    with torch.no_grad():
        expected = one_window_after_the_other(network, clip, window=5)
        found = ClipNetwork(network)(clip, range(3))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_only_the_frames_asked_for_are_restored() -> None:
    torch.manual_seed(0)
    network, clip = ClipNetwork(create("edge-s", window=3)), torch.rand(1, 5, 3, 6, 6)
    everything = network(clip, range(5))
    torch.testing.assert_close(network(clip, [2]), everything[:, [2]], rtol=1e-4, atol=1e-5)


def test_a_network_that_doubles_the_frame_rate_sees_every_second_frame() -> None:
    class Doubling(nn.Module):
        spec = NetworkSpec("x", {}, 2, 2, 0, 0, 0.0, time_scale=2)

        def forward(self, lr: Tensor) -> Tensor:
            between = (lr[:, :-1] + lr[:, 1:]) / 2
            pairs = torch.stack((lr[:, :-1], between), dim=2).flatten(1, 2)
            return torch.cat((pairs, lr[:, -1:]), dim=1).repeat_interleave(2, 3)

    clip = torch.rand(1, 3, 3, 4, 4)
    restored = ClipNetwork(Doubling())(clip, [1, 2])
    assert torch.equal(restored[:, 0, :, ::2], (clip[:, 0] + clip[:, 2]) / 2)
    assert torch.equal(restored[:, 1, :, ::2], clip[:, 2])


def test_windows_repeat_the_edge_frames() -> None:
    assert window_indices([0, 2], length=3, window=5).tolist() == [[0, 0, 0, 1, 2], [0, 1, 2, 2, 2]]
