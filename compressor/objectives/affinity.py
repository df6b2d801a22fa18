"""Distance of the spatial affinity matrices of two features.

    F   (C, P)   P = H * W pixels, each divided by its L2 norm over the channels
    A   (P, P)   A = F^T F, the cosine between any two pixels
    d = mean | A(student) - A(teacher) |

At P = 9216 (a patch of 192 at x2) one A is 340 MB. Neither A is stored whole: the difference D
is computed in blocks of rows, each of which is added to the sum and the gradient and freed. D is
symmetric, so the gradient for pixel i is 2 sum_j sign(D_ij) f_j, one more product with the block.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

BLOCK_BYTES = 32 << 20
"""Size of a block of rows; three of them are in memory at once."""


def affinity_distance(
    student: Tensor, teacher: Tensor, *, block_bytes: int = BLOCK_BYTES
) -> Tensor:
    """Mean of |A(student) - A(teacher)|, differentiable once with respect to `student`.

    Args:
        student: `(N, C, H, W)`.
        teacher: `(N, C', H, W)`.
        block_bytes: Maximum size of a block of rows, bytes.
    """
    if student.shape[2:] != teacher.shape[2:]:
        raise ValueError(
            f"features of {tuple(student.shape[2:])} and {tuple(teacher.shape[2:])} pixels have "
            "different affinity matrices: tap both networks at the same size"
        )
    ours, theirs = unit_pixels(student), unit_pixels(teacher)
    distance: Tensor = _Distance.apply(ours, theirs, block_bytes)  # type: ignore[no-untyped-call]
    return distance


def unit_pixels(feature: Tensor) -> Tensor:
    """Normalise each pixel of `(N, C, H, W)` to length 1; returns `(N, C, P)`."""
    flat = feature.flatten(2)
    length: Tensor = torch.linalg.vector_norm(flat, dim=1, keepdim=True)
    return flat / (length + 1e-8)


class _Distance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ours: Tensor, theirs: Tensor, block_bytes: int) -> Tensor:  # noqa: ANN401
        samples, _, pixels = ours.shape
        rows = max(1, block_bytes // (pixels * ours.element_size()))
        total = ours.new_zeros(())
        gradient = torch.empty_like(ours)
        for sample in range(samples):
            own, other = ours[sample], theirs[sample]
            for start in range(0, pixels, rows):
                part = slice(start, start + rows)
                difference = own[:, part].T @ own
                difference.addmm_(other[:, part].T, other, alpha=-1)
                total += difference.abs().sum()
                gradient[sample, :, part] = own @ difference.sign_().T
        count = samples * pixels * pixels
        ctx.save_for_backward(gradient.mul_(2 / count))
        return total / count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        (gradient,) = ctx.saved_tensors
        return gradient * upstream, None, None
