from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from support.edsr_family import by_basicsr, check, check_widths
from vsrc.compressor.networks import create
from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.rcan import Rcan
from vsrc.compressor.networks.layers.channel_split import copy_leading_channels
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.loading.weights import load_state

if TYPE_CHECKING:
    from types import ModuleType

    from support.golden import Golden

# FAKD distils the head, groups 3 and 7, and the body after the long skip.
FAKD = ["head", "body.2", "body.6", "deep"]


@pytest.mark.parametrize("scale", [3, 4])
def test_it_gives_what_fakd_gives_features_included(golden: Golden, scale: int) -> None:
    name = f"rcan_g8b2f16_x{scale}"
    network = Rcan(scale=scale, groups=8, blocks=2, features=16, reduction=4)
    load_state(network, golden.weights(name), where=name)
    check(golden, name, network, FAKD)


def test_the_student_of_fakd_gives_what_fakd_gives(golden: Golden) -> None:
    name = "rcan_student_g10b6f64_x4"
    network = create("rcan", blocks=6)
    load_state(network, golden.weights(name), where=name)
    check(golden, name, network, FAKD)


def test_it_gives_what_csd_gives_at_both_widths(golden: Golden) -> None:
    name = "csd_rcan_g3b2f32_x4"
    teacher = Rcan(groups=3, blocks=2, features=32, reduction=8)
    load_state(teacher, golden.weights(name), where=name)
    student = Rcan(groups=3, blocks=2, features=32, reduction=8, width=0.25)
    copy_leading_channels(teacher, student)
    check_widths(golden, name, teacher, student)


def test_parameter_counts_are_the_published_ones() -> None:
    with torch.device("meta"):
        # Published with the 24 numbers of the two mean shifts, which are constants here.
        assert parameter_count(create("rcan")) == 15_592_379 - 24
        assert parameter_count(create("rcan", blocks=6)) == 5_171_339 - 24


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_is_the_network_that_spandrel_makes_of_the_same_file(
    spandrel: ModuleType, scale: int
) -> None:
    torch.manual_seed(0)
    arch = spandrel.architectures.RCAN
    theirs = arch.RCAN(
        scale=scale, n_resgroups=2, n_resblocks=2, n_feats=16, reduction=4, unshuffle_mod=False
    ).eval()
    ours = Rcan(scale=scale, groups=2, blocks=2, features=16, reduction=4).eval()
    load_state(ours, theirs.state_dict(), where="spandrel")
    lr = torch.rand(1, 3, 6, 7)
    with torch.no_grad():
        expected = theirs(lr.clone())  # it multiplies its input by 255 in place
        torch.testing.assert_close(ours(lr), expected, rtol=1e-4, atol=1e-5)


def in_basicsr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    block = r"body\.(\d+)\.blocks\.(\d+)"
    theirs = r"body.\1.residual_group.\2.rcab"
    rules = [
        (rf"{block}\.conv1\.(\w+)", rf"{theirs}.0.\3"),
        (rf"{block}\.conv2\.(\w+)", rf"{theirs}.2.\3"),
        (rf"{block}\.attention\.squeeze\.(\w+)", rf"{theirs}.3.attention.1.\3"),
        (rf"{block}\.attention\.excite\.(\w+)", rf"{theirs}.3.attention.3.\3"),
    ]
    return by_basicsr(rename(state, rules))


def test_files_of_basicsr_load() -> None:
    torch.manual_seed(0)
    source = Rcan(groups=2, blocks=2, features=16, reduction=4)
    state = in_basicsr(dict(source.state_dict()))
    assert {"body.0.residual_group.1.rcab.3.attention.1.weight", "body.1.conv.bias"} <= state.keys()
    network = Rcan(groups=2, blocks=2, features=16, reduction=4)
    load_state(network, state, where="BasicSR")
    lr = torch.rand(1, 3, 5, 6)
    assert torch.equal(network(lr), source(lr))
