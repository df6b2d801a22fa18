from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.networks.layers.deform import ModulatedDeformConv
from vsrc.compressor.networks.video.edvr import Edvr, EdvrSize, Predeblur, edvr_m, edvr_xs

if TYPE_CHECKING:
    from support.golden import Golden
    from vsrc.runtime.spec import Argument

TINY = EdvrSize(8, 8, groups=2, extract_blocks=1, reconstruct_blocks=1)


def _moving(network: Edvr, *, gain: float) -> Edvr:
    """Gives a fresh network offsets other than 0."""
    for module in network.modules():
        if isinstance(module, ModulatedDeformConv):
            nn.init.normal_(module.conv_offset.weight, 0, gain)
    return network.eval()


@pytest.mark.parametrize(("name", "tsa"), [("edvr_m_tsa", True), ("edvr_m_wotsa", False)])
def test_it_gives_what_the_official_code_gives(golden: Golden, name: str, tsa: bool) -> None:
    network = edvr_m(tsa=tsa)
    golden.fill(network, name)
    expected = golden.tensors(name)
    seen: dict[str, Tensor] = {}
    for key, path in (("f_sr", "hr_features"), ("fused", "fusion"), ("aligned", "pcd_align")):
        hook = lambda *call, key=key: seen.update({key: call[2]})  # noqa: E731
        network.get_submodule(path).register_forward_hook(hook)
    with torch.no_grad():
        seen["output"] = network(expected["input"])
    seen["aligned"] = seen["aligned"].unsqueeze(0)
    for key, value in seen.items():
        difference = (value - expected[key]).abs().max().item()
        assert difference <= golden.tolerance(name, key), key


def test_a_batch_of_two_gives_what_the_official_code_gives(golden: Golden) -> None:
    network = golden.fill(edvr_m(), "edvr_m_tsa")
    expected = golden.tensors("edvr_m_tsa_b")
    with torch.no_grad():
        output = network(expected["input"])
    difference = (output - expected["output"]).abs().max().item()
    assert difference <= golden.tolerance("edvr_m_tsa_b", "output")


@pytest.mark.parametrize(("name", "tsa"), [("edvr_m_tsa", True), ("edvr_m_wotsa", False)])
def test_state_dict_is_the_official_one(golden: Golden, name: str, tsa: bool) -> None:
    with torch.device("meta"):
        state = edvr_m(tsa=tsa).state_dict()
    assert {key: tuple(value.shape) for key, value in state.items()} == golden.shapes(name)


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        ("edvr-m", {}, 3_300_131),
        ("edvr-m", {"tsa": False}, 2_996_259),
        ("edvr-m", {"predeblur": True}, 3_968_995),
        ("edvr-m", {"predeblur": True, "hr_input": True}, 4_042_851),
        ("edvr-l", {}, 20_633_827),
        ("edvr-l", {"window": 7}, 20_699_363),
        ("edvr-l", {"predeblur": True}, 23_306_851),
        ("edvr-l", {"predeblur": True, "hr_input": True}, 23_602_019),
    ],
)
def test_parameter_counts_are_the_official_ones(
    name: str, arguments: dict[str, Argument], parameters: int
) -> None:
    with torch.device("meta"):
        network = create(name, **arguments)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_xs_is_small() -> None:
    assert edvr_xs().spec.parameters <= 180_000


def test_predeblur_adds_the_coarse_levels_once() -> None:
    torch.manual_seed(0)
    layer = Predeblur(4, hr_input=False)
    for name, parameter in layer.named_parameters():
        if "resblock" in name:
            nn.init.zeros_(parameter)  # residual blocks hand on what they get
    frame = torch.rand(1, 3, 8, 12)

    def down(x: Tensor, conv: nn.Conv2d, stride: int) -> Tensor:
        return F.leaky_relu(F.conv2d(x, conv.weight, conv.bias, stride, 1), 0.1)

    def up(x: Tensor) -> Tensor:
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    level1 = down(frame, layer.conv_first, 1)
    level2 = down(level1, layer.stride_conv_l2, 2)
    level3 = down(level2, layer.stride_conv_l3, 2)
    torch.testing.assert_close(layer(frame), level1 + up(level2 + up(level3)))


@pytest.mark.parametrize("size", [(4, 4), (1, 9), (13, 18)])
def test_any_size_is_padded_by_reflection_and_cropped(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    network = _moving(Edvr(TINY, name="tiny", window=3), gain=0.1)
    lr = torch.rand(1, 3, 3, *size)
    bottom, right = -size[0] % 4, -size[1] % 4
    padding = ((0, 0), (0, 0), (0, 0), (0, bottom), (0, right))
    padded = np.pad(lr.numpy(), padding, mode="reflect")
    with torch.no_grad():
        sr, whole = network(lr), network(torch.from_numpy(padded))
    assert sr.shape == (1, 3, 4 * size[0], 4 * size[1])
    torch.testing.assert_close(sr, whole[..., : 4 * size[0], : 4 * size[1]])


def test_hr_input_keeps_the_size() -> None:
    torch.manual_seed(0)
    network = Edvr(TINY, name="tiny", predeblur=True, hr_input=True, window=3).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 3, 20, 33)).shape == (1, 3, 20, 33)
    assert network.spec.scale == 1
    assert network.spec.size_multiple == 16


def test_frames_encoded_one_by_one_fuse_to_the_same() -> None:
    torch.manual_seed(0)
    network = _moving(Edvr(TINY, name="tiny", window=3), gain=0.1)
    lr = torch.rand(2, 3, 3, 12, 16)
    with torch.no_grad():
        frames = [network.encode(lr[:, index]) for index in range(3)]
        l1, l2, l3 = (torch.stack(level, dim=1) for level in zip(*frames, strict=True))
        torch.testing.assert_close(network.fuse((l1, l2, l3), lr[:, 1]), network(lr))


@pytest.mark.parametrize("arguments", [{}, {"tsa": False}, {"predeblur": True}])
def test_halo_covers_the_receptive_field_and_little_more(arguments: dict[str, bool]) -> None:
    torch.manual_seed(0)
    # Offsets near 0, so that what is left of the halo is its allowance for motion (10 pixels).
    network = _moving(Edvr(TINY, name="tiny", window=1, **arguments), gain=1e-3)
    halo = network.spec.halo - 10
    centre = halo + 12
    lr = torch.rand(1, 1, 3, 2 * centre, 24, dtype=torch.float64, requires_grad=True)
    pixel = network.double()(lr)[0, :, 4 * centre, 48].sum()
    (gradient,) = torch.autograd.grad(pixel, lr)
    rows = gradient.abs().sum((0, 1, 2, 4)).nonzero()
    reach = max(centre - int(rows.min()), int(rows.max()) - centre)
    assert 0.85 * halo <= reach <= halo


def test_a_step_lowers_the_loss() -> None:
    torch.manual_seed(0)
    network = Edvr(TINY, name="tiny", window=3)
    lr, hr = torch.rand(1, 3, 3, 8, 8), torch.rand(1, 3, 32, 32)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.05)
    before = F.mse_loss(network(lr), hr)
    before.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None for p in network.parameters())
    optimiser.step()
    assert F.mse_loss(network(lr), hr) < before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"scale": 2}, "scale=2: edvr-m .*scale=4"),
        ({"window": 4}, "window=4: edvr-m "),
        ({"hr_input": True}, "hr_input=True .*predeblur=True"),
    ],
)
def test_arguments_it_cannot_have_are_refused(arguments: dict[str, Argument], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        create("edvr-m", **arguments)
