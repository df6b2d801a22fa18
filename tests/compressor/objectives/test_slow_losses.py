"""Each loss beside a second implementation: NumPy, in float64, one number at a time.

Written from the formulas of the papers, with loops where torch has operators, so that a fresh clone
checks them without reference data.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor

from vsrc.compressor.networks import create
from vsrc.compressor.objectives.csd import Csd
from vsrc.compressor.objectives.fakd import Fakd
from vsrc.compressor.objectives.objective import Observation
from vsrc.compressor.objectives.srkd import ChannelStatistic, Srkd
from vsrc.compressor.objectives.std import FeatureSize, MapKind, Std, TemporalInput
from vsrc.compressor.objectives.variational import Density, Spread, VariationalHead
from vsrc.compressor.objectives.vgg import LAYER_WEIGHTS

Array = NDArray[np.float64]


def array(tensor: Tensor | None) -> Array:
    assert tensor is not None
    return tensor.detach().double().numpy()


def assert_close(term: Tensor, expected: float) -> None:
    # One side in float32 where the networks are: a few hundred terms are summed.
    assert term.item() == pytest.approx(expected, rel=2e-5)


def mean_abs(a: Array, b: Array) -> float:
    return float(np.mean([abs(x - y) for x, y in zip(a.flat, b.flat, strict=True)]))


def l2(a: Array, b: Array) -> float:
    return math.sqrt(sum((x - y) ** 2 for x, y in zip(a.flat, b.flat, strict=True)))


def sigmoid(x: Array | float) -> Array | float:
    return 1 / (1 + np.exp(-x))


def convolve(x: Array, weight: Array, bias: Array) -> Array:
    """`(C, H, W)` by `(O, C, k, k)`, zeros outside."""
    outputs, _, side, _ = weight.shape
    _, height, width = x.shape
    reach = side // 2
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach)))
    y = np.empty((outputs, height, width))
    for o, row, column in np.ndindex(outputs, height, width):
        seen = padded[:, row : row + side, column : column + side]
        y[o, row, column] = np.sum(seen * weight[o]) + bias[o]
    return y


def last_cell(frames: Sequence[Array], weight: Array, bias: Array) -> Array:
    """Of a ConvLSTM (Shi et al. 2015) without peepholes; gates input, forget, output, candidate."""
    channels = len(bias) // 4
    cell = hidden = np.zeros((channels, *frames[0].shape[1:]))
    for frame in frames:
        gates = convolve(np.concatenate((frame, hidden)), weight, bias)
        take, keep, show, candidate = (gates[g * channels : (g + 1) * channels] for g in range(4))
        cell = sigmoid(keep) * cell + sigmoid(take) * np.tanh(candidate)
        hidden = sigmoid(show) * np.tanh(cell)
    return cell


def charbonnier(sr: Array, hr: Array, epsilon: float) -> float:
    pairs = zip(sr.flat, hr.flat, strict=True)
    return float(np.mean([math.sqrt((a - b) ** 2 + epsilon**2) for a, b in pairs]))


MAPS = {
    "sum": lambda feature: np.abs(feature).sum(0),
    "sum2": lambda feature: (feature**2).sum(0),
    "max2": lambda feature: (feature**2).max(0),
}


def shuffle(x: Array, factor: int) -> Array:
    """Pixel shuffle, `(C r r, H, W)` to `(C, r H, r W)` (Shi et al. 2016, equation 4)."""
    channels, height, width = x.shape[0] // factor**2, *x.shape[1:]
    y = np.empty((channels, height * factor, width * factor))
    for c, row, column in np.ndindex(*y.shape):
        source = c * factor**2 + (row % factor) * factor + column % factor
        y[c, row, column] = x[source, row // factor, column // factor]
    return y


@pytest.mark.parametrize("temporal_input", ["features", "maps"])
@pytest.mark.parametrize("size", ["sr", "lr"])
@pytest.mark.parametrize("kind", ["sum", "sum2", "max2"])
def test_std(kind: MapKind, size: FeatureSize, temporal_input: TemporalInput) -> None:
    torch.manual_seed(0)
    student, teacher = create("edge", features=24, blocks=4, scale=2), create("edvr-xs", scale=4)
    objective = Std(
        student=student,
        teacher=teacher,
        map_kind=kind,
        features=size,
        temporal_input=temporal_input,
        lambda_space=0.3,
        lambda_time=0.7,
        hidden=2,
        epsilon=0.05,
    )
    frames, side = 3, 2 if size == "sr" else 4
    factor = 4 if size == "sr" else 1
    seen = Observation(
        lr=torch.rand(2, frames, 3, 2, 2),
        hr=torch.rand(2, frames, 3, 4, 4),
        student_sr=torch.rand(2, frames, 3, 4, 4),
        student={objective.student_tap: torch.randn(2 * frames, 24, side, side)},
        teacher={objective.teacher_tap: torch.randn(2 * frames, 16, side * factor, side * factor)},
    )
    assert objective.adapter is not None
    assert objective.lstm is not None
    widen = [array(p) for p in (objective.adapter.conv.weight, objective.adapter.conv.bias)]
    gates = [array(p) for p in (objective.lstm.conv.weight, objective.lstm.conv.bias)]
    space, time = [], []
    for clip in range(2):
        fed: dict[str, list[Array]] = {"student": [], "teacher": []}
        for index in range(clip * frames, (clip + 1) * frames):
            ours = convolve(array(seen.student[objective.student_tap])[index], *widen)
            features = {
                "student": shuffle(ours, factor),
                "teacher": array(seen.teacher[objective.teacher_tap])[index],
            }
            maps = {who: MAPS[kind](feature) for who, feature in features.items()}
            space.append(l2(maps["student"], maps["teacher"]))
            for who, inputs in fed.items():
                inputs.append(features[who] if temporal_input == "features" else maps[who][None])
        cells = [last_cell(inputs, *gates) for inputs in fed.values()]
        time.append(l2(*cells))
    terms = objective(seen)
    assert_close(terms["hr"], charbonnier(array(seen.student_sr), array(seen.hr), 0.05))
    assert_close(terms["space"], 0.3 * float(np.mean(space)))
    assert_close(terms["time"], 0.7 * float(np.mean(time)))


STATISTICS: dict[str, Callable[[list[float]], float]] = {
    "mean": lambda values: (sum(values) / len(values)) ** 2,
    "power_mean": lambda values: sum(v**2 for v in values) / len(values),
    "max": max,
    "min": min,
}


@pytest.mark.parametrize("statistic", ["mean", "power_mean", "max", "min"])
def test_srkd(statistic: ChannelStatistic) -> None:
    torch.manual_seed(0)
    student, teacher = create("edge", features=24, blocks=4), create("edvr-xs")
    objective = Srkd(student=student, teacher=teacher, statistic=statistic, weight=0.3)
    seen = observe(objective.student_taps, objective.teacher_taps)
    terms = objective(seen)
    pairs = zip(objective.student_taps, objective.teacher_taps, strict=True)
    for name, (ours, theirs) in zip(("low", "middle", "high"), pairs, strict=True):
        reduced = [
            np.array([STATISTICS[statistic](list(pixel)) for pixel in pixels_of(feature)])
            for feature in (seen.student[ours], seen.teacher[theirs])
        ]
        assert_close(terms[name], 0.3 * mean_abs(*reduced))
    assert_close(terms["hr"], mean_abs(array(seen.student_sr), array(seen.hr)))


def test_fakd() -> None:
    torch.manual_seed(0)
    student, teacher = create("edge", features=24, blocks=4), create("edvr-xs")
    objective = Fakd(student=student, teacher=teacher, weight=0.4, output_weight=0.25)
    seen = observe(objective.student_taps, objective.teacher_taps)
    expected = 0.0
    for ours, theirs in zip(objective.student_taps, objective.teacher_taps, strict=True):
        per_sample = [
            mean_abs(affinity(a), affinity(b))
            for a, b in zip(array(seen.student[ours]), array(seen.teacher[theirs]), strict=True)
        ]
        expected += 0.4 * float(np.mean(per_sample))
    terms = objective(seen)
    sr = array(seen.student_sr)
    assert_close(terms["affinity"], expected)
    assert_close(terms["hr"], 0.75 * mean_abs(sr, array(seen.hr)))
    assert_close(terms["output"], 0.25 * mean_abs(sr, array(seen.teacher_sr)))


def affinity(feature: Array) -> Array:
    """Cosines between all pixels of `(C, H, W)`."""
    pixels = [feature[:, y, x] for y, x in np.ndindex(*feature.shape[1:])]
    units = [p / (math.sqrt(sum(v * v for v in p)) + 1e-8) for p in pixels]
    return np.array([[sum(a * b) for b in units] for a in units])


@pytest.mark.parametrize("density", ["laplace", "gaussian"])
@pytest.mark.parametrize("spread", ["element", "channel", "pixel", "sample"])
def test_pisr_variational_information(density: Density, spread: Spread) -> None:
    torch.manual_seed(0)
    head = VariationalHead(3, 2, density=density, spread=spread).double()
    student, teacher = (torch.randn(2, c, 2, 3, dtype=torch.float64) for c in (3, 2))
    values = []
    for ours, theirs in zip(array(student), array(teacher), strict=True):
        mean, raw = (two_layers(ours, module) for module in (head.mean_head, head.spread_head))
        for c, y, x in np.ndindex(*theirs.shape):
            pooled = raw.mean((1, 2)) if spread in ("channel", "sample") else raw[:, y, x]
            wide = math.log1p(math.exp(pooled[c if spread in ("element", "channel") else 0]))
            error = mean[c, y, x] - theirs[c, y, x]
            constant = 2 / 2 * math.log(2 * math.pi)
            if density == "laplace":
                scale = 0.1 * wide + 1e-8
                values.append(constant + math.log(2 * scale) + abs(error) / scale)
            else:
                variance = 0.001 * wide + 1e-8
                values.append(constant + math.log(variance) / 2 + error**2 / (2 * variance))
    assert head(student, teacher).item() == pytest.approx(float(np.mean(values)), rel=1e-9)


def two_layers(feature: Array, head: torch.nn.Sequential) -> Array:
    """1x1 convolution, PReLU, 1x1 convolution."""
    state = {name: array(value) for name, value in head.state_dict().items()}
    middle = convolve(feature, state["0.weight"], state["0.bias"])
    middle = np.where(middle > 0, middle, state["1.weight"][0] * middle)
    return convolve(middle, state["2.weight"], state["2.bias"])


def test_csd(tmp_path: Path) -> None:
    torch.manual_seed(0)
    vgg = small_vgg(tmp_path / "vgg.safetensors")
    student = create("edsr", scale=2, features=4, blocks=1, width=0.5)
    teacher = create("edsr", scale=2, features=4, blocks=1)
    objective = Csd(
        student=student,
        teacher=teacher,
        vgg=str(tmp_path / "vgg.safetensors"),
        contrast=0.6,
        to_teacher=0.9,
        negatives=2,
    )
    theirs_sr = torch.rand(2, 1, 3, 16, 16)
    seen = Observation(
        lr=torch.rand(2, 1, 3, 8, 8),
        hr=torch.rand(2, 1, 3, 16, 16),
        student_sr=torch.rand(2, 1, 3, 16, 16),
        teacher_sr=theirs_sr,
    )
    # All of the batch are negatives here, so their random order does not matter. How they are
    # upsampled is torch's bicubic, as the official code has it.
    negatives = torch.nn.functional.interpolate(
        seen.lr[:, 0], size=(16, 16), mode="bicubic", align_corners=False
    )
    ours, theirs, others = (
        [list(vgg_features(255 * image, vgg)) for image in array(images)]
        for images in (seen.student_sr[:, 0], theirs_sr[:, 0], negatives)
    )
    expected = 0.0
    for layer, weight in enumerate(LAYER_WEIGHTS):
        attracted = np.mean(
            [mean_abs(a[layer], b[layer]) for a, b in zip(ours, theirs, strict=True)]
        )
        repelled = sum(np.mean([mean_abs(n[layer], a[layer]) for a in ours]) for n in others)
        expected += weight * float(attracted / (repelled + 1e-7))
    terms = objective(seen)
    assert_close(terms["contrast"], 0.6 * expected)
    assert_close(terms["hr"], mean_abs(array(seen.student_sr), array(seen.hr)))
    assert_close(terms["teacher"], 0.9 * mean_abs(array(theirs_sr), array(seen.hr)))


VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24,))
"""Numbers of its convolutions in torchvision's list of layers, up to relu5_1, block by block."""


def small_vgg(path: Path) -> dict[str, Array]:
    """VGG16's layers with two channels each, written where the objective reads them."""
    state, inputs = {}, 3
    for layer in (number for block in VGG16 for number in block):
        state[f"features.{layer}.weight"] = torch.randn(2, inputs, 3, 3) / 3
        state[f"features.{layer}.bias"] = torch.randn(2) / 3
        inputs = 2
    save_file(state, path)
    return {name: array(tensor) for name, tensor in state.items()}


def vgg_features(image: Array, vgg: dict[str, Array]) -> Iterator[Array]:
    """After the first ReLU of each block."""
    x = image
    for number, block in enumerate(VGG16):
        if number:
            x = np.array([[[p.max() for p in row] for row in quarters(c)] for c in x])
        for index, layer in enumerate(block):
            weight, bias = (vgg[f"features.{layer}.{part}"] for part in ("weight", "bias"))
            x = np.maximum(convolve(x, weight, bias), 0)
            if index == 0:
                yield x


def quarters(channel: Array) -> list[list[Array]]:
    """Its 2x2 cells, row by row."""
    height, width = channel.shape
    return [
        [channel[y : y + 2, x : x + 2] for x in range(0, width, 2)] for y in range(0, height, 2)
    ]


def pixels_of(feature: Tensor) -> Iterator[Array]:
    """The channels of each pixel of `(N, C, H, W)`."""
    values = array(feature)
    for n, y, x in np.ndindex(values.shape[0], *values.shape[2:]):
        yield values[n, :, y, x]


def observe(student_taps: Sequence[str], teacher_taps: Sequence[str]) -> Observation:
    return Observation(
        lr=torch.rand(2, 1, 3, 2, 2),
        hr=torch.rand(2, 1, 3, 4, 4),
        student_sr=torch.rand(2, 1, 3, 4, 4),
        teacher_sr=torch.rand(2, 1, 3, 4, 4),
        student={tap: torch.randn(2, 5, 3, 2) for tap in student_taps},
        teacher={tap: torch.randn(2, 4, 3, 2) for tap in teacher_taps},
    )
