"""Find what a network needs of its frames by running it: halo, size multiple and scale."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from vsrc.runtime.errors import first_line

_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
_SIDES = (48, 96, 160)
"""LR pixels; the next one is tried where the receptive field fills the frame."""
_DRAWS = 3
"""Random frames whose receptive fields are united: on each, ReLUs block other paths. One is enough
where the field fills the frame already."""
_SHARE = 0.999
_LEAST_HALO, _LARGEST_HALO = 16, 64
"""Limits of a halo that is not exact, LR pixels."""
_ASSUMED_HALO = 32
_PASSES = 3
"""Work of a forward and a backward pass, in forward passes."""
_AFFORDABLE_GMAC = 2000.0


@dataclass(frozen=True)
class Halo:
    """Receptive field on one side.

    Attributes:
        pixels: LR pixels.
        is_exact: Whether nothing beyond it has any influence.
    """

    pixels: int
    is_exact: bool


def find_scale(network: nn.Module, *, window: int, multiple: int = 64) -> int:
    """Run a network on random frames and return the ratio of the sides of output and input.

    Args:
        network: Image network for `(N, 3, H, W)`, or of `(N, T, 3, H, W)` if window > 1.
        window: Frames fed at once.
        multiple: Side of the frames, LR pixels.

    Raises:
        ValueError: The output is no picture whose sides are multiples of those of the input.
    """
    with torch.no_grad():
        sr = network(random_frames(window, height=multiple, width=multiple + multiple // 2))
    shape = tuple(sr.shape) if isinstance(sr, Tensor) else type(sr).__name__
    scale, rest = divmod(sr.shape[-2], multiple) if isinstance(sr, Tensor) else (0, 1)
    wide = multiple + multiple // 2
    if rest or not scale or shape not in ((1, 3, scale * multiple, scale * wide),):
        raise ValueError(
            f"the network returns {shape} for frames of {multiple}x{wide}; expected "
            f"(1, 3, s * {multiple}, s * {wide}) with an integer s"
        )
    return int(scale)


def find_size_multiple(network: nn.Module, *, window: int, scale: int) -> int:
    """Least divisor of H and W that the network accepts, at most 64.

    Raises:
        ValueError: It accepts none of the tested sizes.
    """
    reason = "unknown"
    for multiple in _MULTIPLES:
        height, width = (multiple * (-(-20 // multiple) // 2 * 2 + odd) for odd in (1, 3))
        try:
            with torch.no_grad():
                sr = network(random_frames(window, height=height, width=width))
        except Exception as error:
            reason = first_line(error)
            continue
        if isinstance(sr, Tensor) and tuple(sr.shape[-2:]) == (scale * height, scale * width):
            return multiple
        reason = f"the output is {tuple(sr.shape)}" if isinstance(sr, Tensor) else str(type(sr))
    raise ValueError(f"the network accepts no multiple of 1 to 64 as height and width: {reason}")


def find_halo(
    network: nn.Module,
    *,
    window: int,
    scale: int,
    size_multiple: int = 1,
    gmac_per_lr_pixel: float = 0.0,
) -> Halo:
    """Measure the halo from the gradient of an output pixel with respect to the frames.

    Where a network has no gradient outside of training, a changed pixel takes its place.
    Where the receptive field fills the largest tested frame (pooling, attention) the halo holds
    99.9 % of the gradient, and is not exact.

    Args:
        network: Network in evaluation mode, on the CPU.
        window: Frames fed at once.
        scale: SR/LR side ratio.
        size_multiple: Divisor of H and W.
        gmac_per_lr_pixel: Cost of the network; sides that take too much work are not tested.
    """
    share = torch.zeros(1)
    for least in _SIDES:
        side = -(-least // (2 * size_multiple)) * 2 * size_multiple
        if side**2 * gmac_per_lr_pixel * _PASSES * _DRAWS > _AFFORDABLE_GMAC:
            break
        share = _influence(network, window=window, scale=scale, side=side, block=size_multiple)
        if share[-1] == 0:
            return Halo(int(share.nonzero().max()) if share.any() else 0, is_exact=True)
    if not share.any():
        return Halo(_ASSUMED_HALO, is_exact=False)
    within = share.cumsum(0) / share.sum()
    pixels = int((within >= _SHARE).nonzero().min())
    return Halo(min(max(pixels, _LEAST_HALO), _LARGEST_HALO), is_exact=False)


def random_frames(window: int, *, height: int, width: int) -> Tensor:
    """Noise `(1, 3, height, width)`, or `(1, window, 3, height, width)` if window > 1, [0, 1]."""
    frames = torch.rand(1, window, 3, height, width, generator=torch.Generator().manual_seed(0))
    return frames if window > 1 else frames[:, 0]


def _influence(network: nn.Module, *, window: int, scale: int, side: int, block: int) -> Tensor:
    """Influence by distance from a block of pixels in the centre, `(distances,)`."""
    first = side // 2 // block * block
    places = torch.arange(side)
    distance = torch.maximum(first - places, places - (first + block - 1)).clamp(min=0)
    apart = torch.maximum(distance[:, None], distance[None, :])
    by_distance = torch.zeros(int(apart.max()) + 1, dtype=torch.float64)
    edge = int(torch.minimum(distance[0], distance[-1]))
    for draw in range(_DRAWS):
        generator = torch.Generator().manual_seed(draw)
        shape = (1, window, 3, side, side) if window > 1 else (1, 3, side, side)
        frames = torch.rand(shape, generator=generator)
        inside = slice(first, first + block)
        try:
            energy = _gradient(network, frames, generator, inside=inside, scale=scale)
        except RuntimeError:  # what is written in place, as in RealPLKSR, has none
            energy = _change(network, frames, inside=inside, scale=scale)
        by_distance.index_add_(0, apart.flatten(), energy.flatten())
        if by_distance[edge:].any():
            break
    # Beyond the nearer edge only one side is seen: what is there counts as reached, at its end.
    reached = by_distance[: edge + 1].clone()
    reached[-1] += by_distance[edge + 1 :].sum()
    return reached


def _gradient(
    network: nn.Module, frames: Tensor, generator: torch.Generator, *, inside: slice, scale: int
) -> Tensor:
    """Gradient of the SR of a block with respect to each LR pixel, `(H, W)`."""
    frames = frames.clone().requires_grad_()
    rows = slice(inside.start * scale, inside.stop * scale)
    sr = network(frames)[..., rows, rows]
    signs = torch.randn(sr.shape, generator=generator)
    (gradient,) = torch.autograd.grad((sr * signs).sum(), frames)
    return gradient.abs().double().flatten(0, -3).sum(0)


def _change(network: nn.Module, frames: Tensor, *, inside: slice, scale: int) -> Tensor:
    """Change of the SR of each LR pixel where a block of LR pixels changes, `(H, W)`."""
    changed = frames.clone()
    changed[..., inside, inside] = 1 - changed[..., inside, inside]
    with torch.no_grad():
        difference: Tensor = (network(changed) - network(frames.clone())).abs().double()
    rows, columns = frames.shape[-2:]
    return difference.flatten(0, -3).sum(0).reshape(rows, scale, columns, scale).sum((1, 3))
