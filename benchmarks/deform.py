"""Modulated deformable convolution against an obvious version of it, and against its bare matmul.

    python benchmarks/deform.py > docs/results/deform.md

The obvious version follows the formula: for each tap, the four neighbours of every sample are
gathered with index arithmetic, weighed, masked, multiplied with the tap's weights and added up. It
is what one writes first, and it agrees with ours to rounding. The matmul alone is what no version
can do without. One thread, float32; CPU time, the least of a few runs, versions in turn, so that
other work on the machine changes the ratios little.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

from vsrc.compressor.networks.layers.deform import deform_conv2d
from vsrc.runtime.machine import this_machine

CASES = ((1, 16, 4, 32, 32), (1, 64, 8, 24, 32), (4, 64, 8, 32, 32), (1, 64, 8, 64, 96))
"""N, C, deformable groups, H, W; EDVR-XS, EDVR-M at three sizes."""

RUNS = 7


def obvious(x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """3x3 deformable convolution with padding 1, tap by tap and corner by corner."""
    batch, channels, height, width = x.shape
    groups = mask.shape[1] // 9
    rows = torch.arange(height, dtype=x.dtype).view(1, 1, -1, 1)
    columns = torch.arange(width, dtype=x.dtype).view(1, 1, 1, -1)
    offset = offset.view(batch, groups, 9, 2, height, width)
    mask = mask.view(batch, groups, 9, 1, height, width)
    pictures = x.view(batch, groups, channels // groups, height * width)
    total = x.new_zeros(batch, weight.shape[0], height, width)
    for tap in range(9):
        y = rows + tap // 3 - 1 + offset[:, :, tap, 0]
        x_ = columns + tap % 3 - 1 + offset[:, :, tap, 1]
        seen = _bilinear(pictures, y, x_, height, width) * mask[:, :, tap]
        kernel = weight[:, :, tap // 3, tap % 3]
        total = total + torch.einsum("oc,nchw->nohw", kernel, seen.flatten(1, 2))
    return total


def _bilinear(pictures: Tensor, y: Tensor, x: Tensor, height: int, width: int) -> Tensor:
    top, left = y.floor(), x.floor()
    total = torch.zeros(())
    for row, row_share in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, share in ((left, 1 - (x - left)), (left + 1, x - left)):
            inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
            at = row.clamp(0, height - 1).long() * width + column.clamp(0, width - 1).long()
            index = at.flatten(2).unsqueeze(2).expand(-1, -1, pictures.shape[2], -1)
            value = pictures.gather(3, index).view(*pictures.shape[:3], height, width)
            total = total + value * (row_share * share * inside).unsqueeze(2)
    return total


def matmul(columns: Tensor, weight: Tensor) -> Tensor:
    return torch.nn.functional.conv2d(columns, weight)


def least_ms(runs: list[Callable[[], object]]) -> list[float]:
    """CPU milliseconds of each, the least of a few, taken in turn."""
    best = [float("inf")] * len(runs)
    for _ in range(RUNS):
        for at, run in enumerate(runs):
            started = time.process_time()
            run()
            best[at] = min(best[at], (time.process_time() - started) * 1e3)
    return best


def step(make: Callable[[], Tensor]) -> Callable[[], object]:
    """Forward and backward."""
    return lambda: torch.autograd.backward(make().mean())


def main() -> None:
    torch.set_num_threads(1)
    machine = this_machine()
    print("# Modulated deformable convolution\n")
    print("`python benchmarks/deform.py`: what is compared is said at the head of the script.\n")
    print(f"{machine.cpu}, {machine.cores} cores; torch {torch.__version__}, one thread.\n")
    print("| N x C x H x W, groups | pass | ours ms | obvious ms | matmul alone ms | faster by |")
    print("|---|---|---:|---:|---:|---:|")
    for case in CASES:
        for line in measured(*case):
            print(line, flush=True)


def measured(batch: int, channels: int, groups: int, height: int, width: int) -> list[str]:
    torch.manual_seed(0)
    x = torch.randn(batch, channels, height, width, requires_grad=True)
    offset = (torch.randn(batch, groups * 18, height, width) * 2).requires_grad_()
    mask = torch.rand(batch, groups * 9, height, width).requires_grad_()
    weight = (torch.randn(channels, channels, 3, 3) / 24).requires_grad_()
    columns = torch.randn(batch, channels * 9, height, width, requires_grad=True)
    flat = weight.detach().reshape(channels, -1, 1, 1).requires_grad_()
    runs = (
        lambda: deform_conv2d(x, offset, mask, weight, padding=1),
        lambda: obvious(x, offset, mask, weight),
        lambda: matmul(columns, flat),
    )
    torch.testing.assert_close(runs[0](), runs[1](), rtol=1e-4, atol=1e-4)
    with torch.no_grad():
        forward = least_ms(list(runs))
    both = least_ms([step(run) for run in runs])
    name = f"{batch} x {channels} x {height} x {width}, {groups}"
    return [
        f"| {name} | {label} | {ours:.1f} | {slow:.1f} | {bare:.1f} | {slow / ours:.1f} |"
        for label, (ours, slow, bare) in (("forward", forward), ("forward, backward", both))
    ]


if __name__ == "__main__":
    main()
