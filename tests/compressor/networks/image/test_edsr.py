from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor

from support.edsr_family import by_basicsr, check, check_widths
from vsrc.compressor.networks import create
from vsrc.compressor.networks.image.edsr import Edsr
from vsrc.compressor.networks.layers.channel_split import copy_leading_channels
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.loading.weights import load_state

if TYPE_CHECKING:
    from support.golden import Golden


def test_it_gives_what_fakd_gives_features_included(golden: Golden) -> None:
    name = "edsr_b7f16_x2"
    network = Edsr(scale=2, blocks=7, features=16)
    load_state(network, golden.weights(name), where=name)
    # Thirds of 7 blocks are 2, 2 and 3; the last map is taken after the long skip.
    check(golden, name, network, ["head", "body.1", "body.3", "deep"])


@pytest.mark.parametrize("scale", [3, 4])
def test_it_gives_what_csd_gives_at_both_widths(golden: Golden, scale: int) -> None:
    name = f"csd_edsr_b6f32_x{scale}"
    teacher = Edsr(scale=scale, blocks=6, features=32)
    load_state(teacher, golden.weights(name), where=name)
    student = Edsr(scale=scale, blocks=6, features=32, width=0.25)
    copy_leading_channels(teacher, student)
    check_widths(golden, name, teacher, student)


@pytest.mark.parametrize(
    ("width", "parameters"), [(1.0, 43_089_923), (0.5, 10_780_675), (0.25, 2_699_267)]
)
def test_parameter_counts_are_the_published_ones(width: float, parameters: int) -> None:
    with torch.device("meta"):
        assert parameter_count(create("edsr", width=width)) == parameters


def test_the_baseline_is_made_by_arguments() -> None:
    network = create("edsr", blocks=16, features=64, residual_scale=1.0)
    assert (
        parameter_count(network) == 1_517_571
    )  # the authors' EDSR-baseline x4, without its shifts


def by_the_authors(state: dict[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Names of EDSR-PyTorch."""
    names = {"head": "head.0", "body_conv": f"body.{blocks}", "tail": "tail.1"}
    renamed = {}
    for key, tensor in state.items():
        first, _, rest = key.partition(".")
        if first == "body":
            key = key.replace("conv1", "body.0").replace("conv2", "body.2")
        elif first == "upsampler":
            key = f"tail.0.{rest}"
        else:
            key = f"{names[first]}.{rest}"
        renamed[key] = tensor
    return renamed


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_files_of_the_authors_and_of_basicsr_load(scale: int) -> None:
    torch.manual_seed(0)
    source, lr = Edsr(scale=scale, blocks=2, features=8), torch.rand(1, 3, 5, 6)
    state = dict(source.state_dict())
    published = [by_the_authors(state, 2), by_basicsr(state)]
    assert "body.0.body.2.weight" in published[0]
    assert {"tail.0.0.weight", "tail.1.weight", "body.2.bias"} <= published[0].keys()
    assert {"conv_first.weight", "upsample.0.weight"} <= published[1].keys()
    for layout in published:
        network = Edsr(scale=scale, blocks=2, features=8)
        load_state(network, layout, where="published")
        assert torch.equal(network(lr), source(lr))


@pytest.mark.parametrize("width", [0.0, 1.5, -1.0])
def test_a_width_outside_0_to_1_is_refused(width: float) -> None:
    with pytest.raises(ValueError, match=f"width={width} "):
        create("edsr", width=width)


def test_a_scale_that_no_shuffle_makes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scale=5 .*1, 2, 3, 4, 8"):
        create("edsr", scale=5)
