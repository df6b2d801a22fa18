from __future__ import annotations

import math
from typing import TYPE_CHECKING

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from support.pair_psnr import mean_psnr
from vsrc.compressor.features.taps import open_taps
from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.imdn import ContrastAttention, Imdn, ImdnAs
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.loading.weights import load_state
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    from pathlib import Path

    from support.golden import Golden


@pytest.fixture(scope="module")
def official(reference: Path) -> nn.Module:
    network = create("imdn", scale=4)
    load_weights(network, reference / "weights" / "imdn_x4.pth")
    return network.eval()


def test_it_gives_what_the_official_code_gives(official: nn.Module, golden: Golden) -> None:
    stored = golden.tensors("imdn_x4")
    paths = {
        "fea": "head",
        "imdb1": "trunk.blocks.0",
        "imdb6": "trunk.blocks.5",
        "fused": "trunk.fusion",
        "lr": "trunk.conv",
    }
    with torch.no_grad(), open_taps(official, list(paths.values())) as seen:
        found = {"output": official(stored["rand_input"])}
    found |= {name: seen[path] for name, path in paths.items()}
    for name, tensor in found.items():
        atol = golden.tolerance("imdn_x4", f"rand_{name}")
        torch.testing.assert_close(tensor, stored[f"rand_{name}"], rtol=0, atol=atol)
    with torch.no_grad():
        butterfly = official(stored["set5_input"])
    atol = golden.tolerance("imdn_x4", "set5_output")
    torch.testing.assert_close(butterfly, stored["set5_output"], rtol=0, atol=atol)


def test_set5_is_restored_as_well_as_published(official: nn.Module, reference: Path) -> None:
    assert mean_psnr(official, reference / "data" / "set5_x4") == pytest.approx(32.211, abs=2e-3)


@pytest.mark.slow
def test_set14_is_restored_as_well_as_published(official: nn.Module, reference: Path) -> None:
    assert mean_psnr(official, reference / "data" / "set14_x4") == pytest.approx(28.587, abs=2e-3)


@pytest.mark.parametrize(("scale", "parameters"), [(2, 694_404), (3, 703_059), (4, 715_176)])
def test_parameter_counts_are_the_published_ones(scale: int, parameters: int) -> None:
    assert parameter_count(Imdn(scale=scale)) == parameters


def test_the_file_of_one_scale_is_recognised_in_another(reference: Path) -> None:
    with pytest.raises(MismatchError, match=r"create\('imdn', scale=4"):
        load_weights(create("imdn", scale=2), reference / "weights" / "imdn_x4.pth")


def test_attention_weighs_by_deviation_plus_mean() -> None:
    torch.manual_seed(0)
    layer, x = ContrastAttention(16), torch.randn(2, 16, 5, 6)
    weight = layer.conv_du((x.std((2, 3), correction=0) + x.mean((2, 3)))[..., None, None])
    torch.testing.assert_close(layer(x), x * weight)


class TestAnyScale:
    def test_the_official_names_load(self) -> None:
        network = ImdnAs()
        load_state(network, official_names(network), where="IMDN_AS.pth")
        assert parameter_count(network) == 752_104

    def test_at_scale_1_the_output_is_as_large_as_the_input(self) -> None:
        network = ImdnAs(scale=1, features=16, blocks=1).eval()
        assert network(torch.rand(1, 3, 9, 14)).shape == (1, 3, 9, 14)


def official_names(network: nn.Module) -> dict[str, Tensor]:
    """The state of IMDN_AS by the names of the release, under DataParallel's prefix."""
    rules = [
        (r"head\.(.*)", r"module.fea_conv.\1"),
        *((rf"trunk\.blocks\.{n}\.(.*)", rf"module.IMDB{n + 1}.\1") for n in range(6)),
        (r"trunk\.fusion\.0\.(.*)", r"module.c.0.\1"),
        (r"trunk\.conv\.(.*)", r"module.LR_conv.\1"),
        (r"trunk\.upsampler\.(.*)", r"module.upsampler.\1"),
    ]
    return rename(network.state_dict(), rules)


class TestFast:
    """Their official weights are not at hand: names, shapes and the arithmetic are checked."""

    @pytest.mark.parametrize(("name", "parameters"), [("imdn-rtc", 20_190), ("imdn-rte", 89_748)])
    def test_official_names_and_shapes_load(
        self, golden: Golden, name: str, parameters: int
    ) -> None:
        torch.manual_seed(0)
        shapes = golden.shapes(f"{name.replace('-', '_')}_x2")
        state = {f"module.{key}": torch.randn(shape) for key, shape in shapes.items()}
        network = create(name)
        load_state(network, state, where="official")
        assert parameter_count(network) == parameters

    def test_rtc_is_what_its_formula_says(self, golden: Golden) -> None:
        state = random_state(golden.shapes("imdn_rtc_x2"))
        network = create("imdn-rtc")
        load_state(network, state, where="official")
        lr = torch.rand(1, 3, 7, 9)
        with torch.no_grad():
            torch.testing.assert_close(network(lr), rtc(lr, state), rtol=1e-4, atol=1e-5)

    def test_rte_is_what_its_formula_says(self, golden: Golden) -> None:
        state = random_state(golden.shapes("imdn_rte_x2"))
        network = create("imdn-rte")
        load_state(network, state, where="official")
        lr = torch.rand(1, 3, 8, 10)
        with torch.no_grad():
            torch.testing.assert_close(network(lr), rte(lr, state), rtol=1e-4, atol=1e-5)


def random_state(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {key: torch.randn(shape) / math.prod(shape[1:]) ** 0.5 for key, shape in shapes.items()}


def conv(x: Tensor, state: dict[str, Tensor], key: str, stride: int = 1) -> Tensor:
    weight = state[f"{key}.weight"]
    padding = weight.shape[-1] // 2
    return F.conv2d(x, weight, state.get(f"{key}.bias"), stride=stride, padding=padding)


def rtc(lr: Tensor, state: dict[str, Tensor]) -> Tensor:
    """IMDN_RTC written out on the official state."""
    head = y = conv(lr, state, "model.0")
    for index in range(5):
        block = f"model.1.sub.{index}"
        a = F.leaky_relu(conv(y, state, f"{block}.c1"), 0.05)
        b = F.leaky_relu(conv(a[:, 3:], state, f"{block}.c2"), 0.05)
        c = F.leaky_relu(conv(b[:, 3:], state, f"{block}.c3"), 0.05)
        d = conv(c[:, 3:], state, f"{block}.c4")
        kept = torch.cat([a[:, :3], b[:, :3], c[:, :3], d], 1)
        y = y + conv(kept, state, f"{block}.c5")
    return F.pixel_shuffle(conv(head + conv(y, state, "model.1.sub.5"), state, "model.2"), 2)


def rte(lr: Tensor, state: dict[str, Tensor]) -> Tensor:
    """IMDN_RTE written out on the official state, for [0, 1]."""
    head = F.relu(conv(255 * lr, state, "fea_conv.0"))
    head = y = conv(head, state, "fea_conv.2", stride=2)
    for index in range(1, 7):
        kept, rest = [], y
        for step in range(1, 6):
            rest = F.relu(conv(rest, state, f"block{index}.c{step}"))
            kept.append(rest[:, :5])
            rest = rest[:, 5:]
        kept.append(F.relu(conv(rest, state, f"block{index}.c6")))
        y = y + conv(torch.cat(kept, 1), state, f"block{index}.c7")
    return F.pixel_shuffle(conv(head + conv(y, state, "LR_conv"), state, "upsampler.0"), 4) / 255
