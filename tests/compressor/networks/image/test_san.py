from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.san import (
    RegionNonLocal,
    San,
    SecondOrderAttention,
    covariance,
    matrix_square_root,
)
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.loading.weights import load_state


def test_parameter_count_is_the_published_one() -> None:
    with torch.device("meta"):
        used = parameter_count(create("san"))
    unused = (
        (64 * 64 * 9 + 64) + (64 * 8 + 8 + 8 * 64 + 64) + 20
    )  # conv_last, non_local.soca, gammas
    assert used + unused + 24 == 15_860_512  # "15.86M" (FAKD, table 1), mean shifts included
    assert used == 15_822_444


def test_covariance_is_numpys() -> None:
    x = torch.randn(2, 5, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for ours, one in zip(covariance(x), x, strict=True):
        expected = np.cov(one.reshape(5, -1).numpy(), bias=True)
        np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12, atol=1e-14)


def spread_matrices() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    factor = torch.randn(3, 6, 9, dtype=torch.float64, generator=generator)
    return factor @ factor.transpose(1, 2) * torch.tensor([1e-3, 1.0, 1e3]).reshape(3, 1, 1)


def exact_root(matrix: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(matrix)
    root: Tensor = vectors @ torch.diag_embed(values.clamp_min(0).sqrt()) @ vectors.mT
    return root


def test_the_iteration_converges_to_the_root_by_eigenvalues() -> None:
    matrix = spread_matrices()
    root = matrix_square_root(matrix, torch.eye(6).double(), iterations=20)
    torch.testing.assert_close(root, exact_root(matrix), rtol=1e-9, atol=1e-9)


def test_five_iterations_are_what_each_eigenvalue_goes_through() -> None:
    # The iteration keeps eigenvectors, so on each eigenvalue it is an iteration of numbers.
    matrix = spread_matrices()
    values, vectors = torch.linalg.eigh(matrix)
    trace = values.sum(1, keepdim=True)
    y, z = values / trace, torch.ones_like(values)
    for _ in range(5):
        step = (3 - z * y) / 2
        y, z = y * step, step * z
    expected = vectors @ torch.diag_embed(y * trace.sqrt()) @ vectors.transpose(1, 2)
    root = matrix_square_root(matrix, torch.eye(6).double())
    torch.testing.assert_close(root, expected, rtol=1e-9, atol=1e-12)


def test_the_gradient_of_the_root_is_right_and_finite_at_zero() -> None:
    matrix = spread_matrices()[1:2].requires_grad_()
    assert torch.autograd.gradcheck(matrix_square_root, (matrix, torch.eye(6).double()))
    flat = torch.zeros(1, 4, 4, requires_grad=True)
    matrix_square_root(flat, torch.eye(4)).sum().backward()  # type: ignore[no-untyped-call]
    assert flat.grad is not None
    assert flat.grad.isfinite().all()


def test_attention_pools_the_mean_row_of_the_root() -> None:
    torch.manual_seed(0)
    layer, x = SecondOrderAttention(8, reduction=4), torch.randn(1, 8, 6, 5)
    pooled = matrix_square_root(covariance(x), torch.eye(8)).mean(1).reshape(1, 8, 1, 1)
    expected = x * layer.excite(layer.squeeze(pooled).relu()).sigmoid()
    torch.testing.assert_close(layer(x), expected)


def test_mixed_precision_keeps_the_root_in_float32() -> None:
    torch.manual_seed(0)
    layer, x = SecondOrderAttention(8, reduction=4), torch.randn(1, 8, 6, 5)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = layer(x)
    # What is left is the rounding of the two 1x1 convolutions to 8 bits.
    torch.testing.assert_close(mixed, layer(x), rtol=1e-2, atol=1e-3)


class TestNonLocal:
    def layer(self) -> RegionNonLocal:
        torch.manual_seed(0)
        layer = RegionNonLocal(6, embedded=3)
        nn.init.normal_(layer.out.weight)
        return layer

    def test_it_starts_as_the_identity(self) -> None:
        x = torch.randn(1, 6, 5, 4)
        assert torch.equal(RegionNonLocal(6, embedded=3)(x), x)

    @pytest.mark.parametrize("size", [(4, 6), (5, 7), (2, 2), (3, 2)])
    def test_it_is_the_formula_pixel_by_pixel_in_each_quarter(self, size: tuple[int, int]) -> None:
        layer, x = self.layer(), torch.randn(1, 6, *size)
        expected = torch.empty_like(x)
        down, right = size[0] // 2, size[1] // 2
        for rows in (slice(0, down), slice(down, None)):
            for columns in (slice(0, right), slice(right, None)):
                expected[..., rows, columns] = self.slowly(layer, x[..., rows, columns])
        torch.testing.assert_close(layer(x), expected, rtol=1e-4, atol=1e-5)

    def slowly(self, layer: RegionNonLocal, region: Tensor) -> Tensor:
        theta, phi, value = (conv(region)[0] for conv in (layer.theta, layer.phi, layer.value))
        height, width = region.shape[2:]
        seen = torch.zeros_like(value)
        for y in range(height):
            for x in range(width):
                weight = torch.exp((theta[:, y, x, None, None] * phi).sum(0))
                seen[:, y, x] = (value * weight / weight.sum()).sum((1, 2))
        out: Tensor = region + layer.out(seen[None])
        return out


def in_the_release(network: San) -> dict[str, Tensor]:
    group, ours = r"body\.(\d+)", dict(network.state_dict())
    rules = [
        (rf"{group}\.blocks\.(\d+)\.conv1\.(\w+)", r"RG.\1.rcab.\2.conv_first.0.\3"),
        (rf"{group}\.blocks\.(\d+)\.conv2\.(\w+)", r"RG.\1.rcab.\2.conv_first.2.\3"),
        (rf"{group}\.attention\.squeeze\.(\w+)", r"RG.\1.soca.conv_du.0.\2"),
        (rf"{group}\.attention\.excite\.(\w+)", r"RG.\1.soca.conv_du.2.\2"),
        (rf"{group}\.conv\.(\w+)", r"RG.\1.conv_last.\2"),
        (r"non_local\.(theta|phi)\.(\w+)", r"non_local.non_local.\1.\2"),
        (r"non_local\.value\.(\w+)", r"non_local.non_local.g.\1"),
        (r"non_local\.out\.(\w+)", r"non_local.non_local.W.\1"),
        (r"head\.(\w+)", r"head.0.\1"),
        (r"upsampler\.(.*)", r"tail.0.\1"),
        (r"tail\.(\w+)", r"tail.1.\1"),
    ]
    unused = {
        "RG.0.gamma": torch.zeros(1),
        "conv_last.weight": torch.zeros(1),
        "non_local.soca.conv_du.0.weight": torch.zeros(1),
    }
    return rename(ours, rules) | unused


def test_names_of_the_release_load() -> None:
    torch.manual_seed(0)
    arguments = {"groups": 1, "blocks": 1, "features": 16, "reduction": 4}
    source, network = San(**arguments), San(**arguments)
    load_state(network, in_the_release(source), where="SAN_BI4X.pt")
    lr = torch.rand(1, 3, 5, 6)
    assert torch.equal(network(lr), source(lr))
