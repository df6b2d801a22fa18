"""`perceptual` against the same distance written with torch's own modules."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.perceptual import Perceptual
from vsrc.compressor.objectives.table import create as create_objective
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.spec import Argument

CHANNELS = {"VGG16": "22M33M444M555M5", "VGG19": "22M33M4444M5555M5"}
"""Channels of each convolution up to relu5_1, M for pooling: the layout, a few channels wide."""


def write_vgg(kind: str, path: Path) -> nn.Sequential:
    """Write weights of a narrow VGG; return it as torchvision builds it."""
    torch.manual_seed(3)
    layers: list[nn.Module] = []
    channels = 3
    for letter in CHANNELS[kind]:
        if letter == "M":
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, int(letter), 3, padding=1), nn.ReLU()]
            channels = int(letter)
    network = nn.Sequential(*layers)
    state = {f"features.{name}": tensor for name, tensor in network.state_dict().items()}
    save_file(state, path)
    return network


def after_first_relus(network: nn.Sequential, pictures: Tensor) -> list[Tensor]:
    features = []
    x, starts_block = pictures, True
    for layer in network:
        x = layer(x)
        if isinstance(layer, nn.MaxPool2d):
            starts_block = True
        elif isinstance(layer, nn.ReLU) and starts_block:
            features.append(x)
            starts_block = False
    return features


@pytest.mark.parametrize("kind", list(CHANNELS))
def test_it_is_the_weighted_distance_of_features(kind: str, tmp_path: Path) -> None:
    network = write_vgg(kind, tmp_path / "vgg.safetensors")
    objective = Perceptual(vgg=str(tmp_path / "vgg.safetensors"), weight=0.7, truth=2.0)
    sr, hr = torch.rand(2, 2, 3, 16, 32), torch.rand(2, 2, 3, 16, 32)
    terms = objective(Observation(lr=torch.rand(2, 2, 3, 4, 8), hr=hr, student_sr=sr))

    def normalised(frames: Tensor) -> Tensor:
        r, g, b = frames.reshape(4, 3, 16, 32).unbind(1)
        channels = ((r - 0.485) / 0.229, (g - 0.456) / 0.224, (b - 0.406) / 0.225)
        return torch.stack(channels, dim=1)

    expected = sum(
        weight * (a - b).abs().mean()
        for weight, a, b in zip(
            (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0),
            after_first_relus(network, normalised(sr)),
            after_first_relus(network, normalised(hr)),
            strict=True,
        )
    )
    torch.testing.assert_close(terms["features"], torch.as_tensor(0.7 * expected))
    distance = ((sr - hr).square() + 1e-6).sqrt().mean()
    torch.testing.assert_close(terms["hr"], 2 * distance)
    assert list(terms) == ["hr", "features"]


def test_only_the_student_gets_a_gradient(tmp_path: Path) -> None:
    write_vgg("VGG16", tmp_path / "vgg.safetensors")
    objective = Perceptual(vgg=str(tmp_path / "vgg.safetensors"))
    sr = torch.rand(1, 1, 3, 16, 16, requires_grad=True)
    hr = torch.rand(1, 1, 3, 16, 16, requires_grad=True)
    terms = objective(Observation(lr=torch.rand(1, 1, 3, 4, 4), hr=hr, student_sr=sr))
    torch.autograd.backward(terms["features"])
    assert sr.grad is not None
    assert sr.grad.abs().sum() > 0
    assert hr.grad is None
    assert not list(objective.parameters())
    assert not objective.state_dict()


def test_it_joins_stored_outputs_of_a_teacher(tmp_path: Path) -> None:
    write_vgg("VGG16", tmp_path / "vgg.safetensors")
    options: dict[str, Argument] = {
        "perceptual.vgg": str(tmp_path / "vgg.safetensors"),
        "perceptual.weight": 0.5,
    }
    objective = create_objective(
        "output+perceptual",
        student=create("edge", features=24, blocks=4),
        teacher=None,
        pictures_kept=True,
        **options,
    )
    frames = torch.rand(3, 1, 1, 3, 16, 16)
    terms = objective(
        Observation(
            lr=torch.rand(1, 1, 3, 4, 4), hr=frames[0], student_sr=frames[1], teacher_sr=frames[2]
        )
    )
    assert list(terms) == ["hr", "output/output", "perceptual/features"]


def test_missing_weights_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingDependencyError, match=r"nowhere\.pth does not exist"):
        Perceptual(vgg=str(tmp_path / "nowhere.pth"))
