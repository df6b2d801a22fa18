"""A network of a user is tried before any data is read, by `distill` and by `--dry-run`."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.distill import distill
from vsrc.compressor.objectives.objective import Objective, Observation
from vsrc.compressor.plan import plan
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.contract import check_contract
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.runtime.errors import MismatchError, TrainingError
from vsrc.runtime.spec import NetworkSpec

CPU = torch.device("cpu")


class Shuffled(nn.Module):
    """A convolution and a pixel shuffle, whose output `spoil` changes."""

    def __init__(self, spoil: Callable[[Tensor], object] = lambda sr: sr) -> None:
        super().__init__()
        self.spoil = spoil
        self.conv, self.norm = nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12)

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec(
            name="shuffled",
            arguments={},
            scale=2,
            window=1,
            halo=1,
            parameters=360,
            gmac_per_lr_pixel=3e-7,
        )

    def forward(self, lr: Tensor) -> object:
        return self.spoil(torch.pixel_shuffle(self.norm(self.conv(lr)), 2))


def refuse(_: Tensor) -> None:
    raise RuntimeError("no kernel\nfor this")


def fill_memory(_: Tensor) -> Tensor:
    return torch.empty(10**15)


SPOILS: dict[str, tuple[Callable[[Tensor], object], type[Exception], str]] = {
    "tuple": (lambda sr: (sr, sr), MismatchError, "a tuple of 2; expected one tensor"),
    "none": (lambda _: None, MismatchError, "returns None"),
    "size": (lambda sr: sr[..., 1:], MismatchError, r"\(2, 3, 16, 15\); expected \(2, 3, 16, 16\)"),
    "grey": (lambda sr: sr[:, :1], MismatchError, r"expected \(2, 3, 16, 16\)"),
    "nan": (lambda sr: sr / 0 * 0, MismatchError, "returns NaN or infinity"),
    "bytes": (lambda sr: sr.byte(), MismatchError, "returns torch.uint8"),
    "cut off": (lambda sr: sr.detach(), MismatchError, "has no gradient"),
    "gradient": (lambda sr: (sr * 0).sqrt(), MismatchError, "gradient of conv.weight is NaN"),
    "raises": (refuse, MismatchError, "RuntimeError: no kernel for this; vsrc -v"),
    "memory": (fill_memory, TrainingError, "--set batch=1 --set accumulate=2"),
}


@pytest.fixture
def config(tmp_path: Path) -> DistillConfig:
    return DistillConfig(
        student=f"{__name__}:shuffled",
        objective="none",
        data=(tmp_path / "there is no data",),
        output=tmp_path / "s.vsrc",
        scale=2,
        patch=16,
        batch=2,
        clip_length=1,
        device="cpu",
    )


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, __name__, sys.modules[__name__])


def shuffled(spoil: str = "") -> nn.Module:
    return Shuffled(SPOILS[spoil][0]) if spoil else Shuffled()


@pytest.mark.parametrize("run", [distill, plan])
@pytest.mark.parametrize("spoil", SPOILS)
def test_a_network_is_tried_before_the_data_is_looked_for(
    config: DistillConfig, spoil: str, run: Callable[[DistillConfig], object]
) -> None:
    _, error, message = SPOILS[spoil]
    with pytest.raises(error, match=message):
        run(replace(config, student_arguments={"spoil": spoil}))


def test_parameters_without_gradient_are_named(config: DistillConfig) -> None:
    network = Shuffled()
    network.add_module("unused", nn.Conv2d(3, 3, 1))
    step = DistillationStep(network, Plainest())
    with pytest.raises(MismatchError, match=r"2 of 6 trained parameters \(unused.weight, unused.b"):
        check_contract(step, config, CPU)
    network.get_submodule("unused").requires_grad_(False)
    check_contract(step, config, CPU)


def test_nothing_remains_of_the_trial(config: DistillConfig) -> None:
    network = Shuffled()
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    state = torch.random.get_rng_state()
    check_contract(DistillationStep(network, Plainest()), config, CPU)
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert torch.equal(state, torch.random.get_rng_state())
    assert network.training


class Plainest(Objective):
    needs_teacher = False

    def __init__(self, spoil: Callable[[Tensor], object] = lambda loss: {"l1": loss}) -> None:
        super().__init__()
        self.spoil = spoil

    def forward(self, seen: Observation) -> dict[str, Tensor]:
        return self.spoil((seen.student_sr - seen.hr).abs().mean())  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda loss: loss, r"returns a tensor \(\); expected a dict"),
        (lambda _: {}, "expected a dict"),
        (lambda loss: {"l1": loss.item()}, "term 'l1' .* is a float"),
        (lambda loss: {"l1": loss.expand(2)}, r"term 'l1' .* is a tensor \(2,\)"),
        (lambda loss: {"l1": loss / 0}, "term 'l1' .* is inf on noise"),
    ],
)
def test_an_objective_is_tried_too(
    config: DistillConfig, spoil: Callable[[Tensor], object], message: str
) -> None:
    with pytest.raises(MismatchError, match=message):
        check_contract(DistillationStep(Shuffled(), Plainest(spoil)), config, CPU)
