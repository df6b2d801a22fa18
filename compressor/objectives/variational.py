"""Variational information distillation (Ahn et al. 2019), as PISR uses it (section 3.3).

The student's feature f predicts the teacher's feature t as a distribution; the higher the
likelihood, the more information both share. With mean mu(f) and spread from two small heads:

    Laplace     s = 0.1 softplus(h(f)) + 1e-8     C/2 log(2 pi) + log(2 s) + |mu - t| / s
    Gaussian    v = 0.001 softplus(h(f)) + 1e-8   C/2 log(2 pi) + 1/2 log v + (mu - t)^2 / (2 v)

averaged over all elements. (The constant belongs to a Gaussian of C dimensions; the official code
has it in both, and it moves no gradient.)
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch.nn.functional as F
from torch import Tensor, nn

Density = Literal["laplace", "gaussian"]
Spread = Literal["element", "channel", "pixel", "sample"]
_POOLED = {"channel": (2, 3), "sample": (2, 3)}


class VariationalHead(nn.Module):
    """Negative log-likelihood of the teacher's feature.

    Args:
        student: Channels of the student's feature.
        teacher: Channels of the teacher's feature.
        density: Kind of distribution.
        spread: Granularity of the spread: one for each element, channel, pixel, or only each sample
            (in the official code None, C, HW, CHW).
    """

    def __init__(
        self,
        student: int,
        teacher: int,
        *,
        density: Density = "laplace",
        spread: Spread = "element",
    ) -> None:
        super().__init__()
        for value, kind in ((density, Density), (spread, Spread)):
            if value not in get_args(kind):
                raise ValueError(f"{value!r} is not one of {', '.join(get_args(kind))}")
        self.density, self.spread = density, spread
        spreads = teacher if spread in ("element", "channel") else 1
        self.mean_head = _head(student, teacher)
        self.spread_head = _head(student, spreads)

    def distribution(self, student: Tensor) -> tuple[Tensor, Tensor]:
        """Mean, `(N, Ct, h, w)`, and softplus of the spread, which may be 1 along pooled axes."""
        spread = self.spread_head(student)
        if axes := _POOLED.get(self.spread):
            spread = spread.mean(axes, keepdim=True)
        return self.mean_head(student), F.softplus(spread)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Compute the scalar loss of features `(N, Cs, h, w)` and `(N, Ct, h, w)`."""
        mean, spread = self.distribution(student)
        constant = teacher.shape[1] * math.log(2 * math.pi) / 2
        error = mean - teacher
        if self.density == "laplace":
            scale = 0.1 * spread + 1e-8
            return (constant + (2 * scale).log() + error.abs() / scale).mean()
        variance = 0.001 * spread + 1e-8
        return (constant + variance.log() / 2 + error.square() / (2 * variance)).mean()


def _head(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_in, 1), nn.PReLU(), nn.Conv2d(channels_in, channels_out, 1)
    )
