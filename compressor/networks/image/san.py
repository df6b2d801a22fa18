"""SAN: second-order attention network (Dai et al., CVPR 2019), figures 2 and 3.

    lr ─ - mean ─ head ─┬─ non-local ─┬─ group 1 ─ + ─ ... ─ group G ─ + ─ non-local ─ + ─ tail ─ sr
                        │             └── gamma ───┴──────── gamma ────┘               │
                        └──────────────────────────────────────────────────────────────┘
    group:   x ─ residual block (B times) ─ second-order channel attention ─ conv ─ + x

Channels are weighed not by their means but by how they vary together: the square root of their
covariance, computed by Newton-Schulz iteration (section 3.3), which consists of matrix products
alone and so exports like any convolution. Both non-local modules share their weights and process
each quarter of the image by itself (region-level non-local, section 3.4).

The published network has 20 groups of 10 blocks and 64 channels. Two things of the released code
have weights but do not affect its result (a convolution after the groups, an attention beside
the non-local module); they are left out here and skipped when a file is loaded. The release pools
the covariance over the middle 1000 x 1000 features of larger images; here all are pooled.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from functools import cached_property

import torch
from torch import Tensor, nn

from vsrc.compressor.networks.checkpoints.renaming import rename
from vsrc.compressor.networks.image.edsr import ends_of_edsr
from vsrc.compressor.networks.image.long_skip import LongSkipNetwork
from vsrc.compressor.networks.layers.blocks import ResidualBlock
from vsrc.runtime.spec import NetworkSpec

ITERATIONS = 5
"""Iterations of the Newton-Schulz square root, as published."""


def covariance(x: Tensor) -> Tensor:
    """Covariance of the channels over the image: `(N, C, H, W)` to `(N, C, C)`."""
    flat = x.flatten(2)
    centred = flat - flat.mean(2, keepdim=True)
    return centred @ centred.transpose(1, 2) / flat.shape[2]


def matrix_square_root(matrix: Tensor, identity: Tensor, *, iterations: int = ITERATIONS) -> Tensor:
    """Square root of symmetric positive semi-definite matrices by Newton-Schulz iteration.

    Divided by its trace a matrix has eigenvalues in (0, 1], where the iteration converges
    (section 3.3, equations 6 to 8).

    Args:
        matrix: `(N, C, C)`.
        identity: `(C, C)`; a constant of the caller, so that no operator computes it in a graph.
        iterations: Number of iterations; small eigenvalues converge last.
    """
    # A flat image has covariance 0: keep the division and the root's gradient finite.
    trace = (matrix * identity).sum((1, 2), keepdim=True).clamp_min(1e-12)
    root, inverse = matrix / trace, identity.expand_as(matrix)
    for _ in range(iterations):
        step = 1.5 * identity - 0.5 * (inverse @ root)
        root, inverse = root @ step, step @ inverse
    return root * trace.sqrt()


class SecondOrderAttention(nn.Module):
    """SOCA: weigh channels by the mean row of the square root of their covariance.

    Args:
        features: Channels in and out.
        reduction: Ratio of the channels to those in between.
    """

    def __init__(self, features: int, *, reduction: int) -> None:
        super().__init__()
        squeezed = max(features // reduction, 1)
        self.squeeze = nn.Conv2d(features, squeezed, 1)
        self.excite = nn.Conv2d(squeezed, features, 1)
        self.register_buffer("identity", torch.eye(features), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        with _without_autocast(x):  # small eigenvalues need the precision
            wide = x.to(torch.promote_types(x.dtype, torch.float32))
            root = matrix_square_root(covariance(wide), self.get_buffer("identity"))
            pooled = root.mean(1)[..., None, None]
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(pooled))))


def _without_autocast(x: Tensor) -> AbstractContextManager[object]:
    """Disable autocast; the meta device has none, and graphs are exported without."""
    if x.is_meta or torch.compiler.is_exporting():
        return nullcontext()
    return torch.autocast(x.device.type, enabled=False)


class RegionNonLocal(nn.Module):
    """Non-local attention among the pixels of each quarter of the image.

    Embedded Gaussian (Wang et al., CVPR 2018, equation 4). Memory grows with the square of a
    quarter's pixels.

    Args:
        features: Channels in and out.
        embedded: Channels that are compared.
    """

    def __init__(self, features: int, *, embedded: int) -> None:
        super().__init__()
        self.theta = nn.Conv2d(features, embedded, 1)
        self.phi = nn.Conv2d(features, embedded, 1)
        self.value = nn.Conv2d(features, embedded, 1)
        self.out = nn.Conv2d(embedded, features, 1)
        nn.init.zeros_(self.out.weight)
        assert self.out.bias is not None
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape; H and W at least 2, and even on export."""
        height, width = x.shape[2:]
        if torch.compiler.is_exporting() or not (height % 2 or width % 2):
            return _from_quarters(self._attend(_to_quarters(x)))
        down, right = height // 2, width // 2
        rows = [
            torch.cat([self._attend(row[..., :right]), self._attend(row[..., right:])], dim=3)
            for row in (x[:, :, :down], x[:, :, down:])
        ]
        return torch.cat(rows, dim=2)

    def _attend(self, x: Tensor) -> Tensor:
        query, key, value = (conv(x).flatten(2) for conv in (self.theta, self.phi, self.value))
        weight = torch.softmax(query.transpose(1, 2) @ key, dim=2)
        seen = (value @ weight.transpose(1, 2)).reshape(x.shape[0], -1, *x.shape[2:])
        out: Tensor = self.out(seen)
        return x + out


def _to_quarters(x: Tensor) -> Tensor:
    """Split `(N, C, H, W)` into one batch of its quarters, `(4 N, C, H / 2, W / 2)`."""
    batch, channels, height, width = x.shape
    split = x.reshape(batch, channels, 2, height // 2, 2, width // 2)
    return split.permute(0, 2, 4, 1, 3, 5).reshape(-1, channels, height // 2, width // 2)


def _from_quarters(quarters: Tensor) -> Tensor:
    """Invert `_to_quarters`."""
    channels, height, width = quarters.shape[1:]
    split = quarters.reshape(-1, 2, 2, channels, height, width)
    return split.permute(0, 3, 1, 4, 2, 5).reshape(-1, channels, 2 * height, 2 * width)


class AttentionGroup(nn.Module):
    """LSRAG: residual blocks, second-order attention and a convolution under one skip.

    Args:
        features: Channels in and out.
        blocks: Residual blocks.
        reduction: Channel reduction of the attention.
    """

    def __init__(self, features: int, *, blocks: int, reduction: int) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*(ResidualBlock(features) for _ in range(blocks)))
        self.attention = SecondOrderAttention(features, reduction=reduction)
        self.conv = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        branch: Tensor = self.conv(self.attention(self.blocks(x)))
        return x + branch


class San(LongSkipNetwork):
    """The network in the diagram above; its input is at least 2 pixels a side.

    Args:
        scale: SR/LR side ratio.
        groups: Attention groups.
        blocks: Residual blocks of a group.
        features: Channels.
        reduction: Ratio of the channels to those inside an attention.
        rgb_range: Value range of the training data: 255 in the official releases.
    """

    def __init__(
        self,
        *,
        scale: int = 4,
        groups: int = 20,
        blocks: int = 10,
        features: int = 64,
        reduction: int = 16,
        rgb_range: float = 255.0,
    ) -> None:
        body = (AttentionGroup(features, blocks=blocks, reduction=reduction) for _ in range(groups))
        super().__init__(
            features,
            nn.ModuleList(body),
            scale=scale,
            rgb_range=rgb_range,
            arguments={
                "scale": scale,
                "groups": groups,
                "blocks": blocks,
                "features": features,
                "reduction": reduction,
                "rgb_range": rgb_range,
            },
        )
        self.blocks = blocks
        self.non_local = RegionNonLocal(features, embedded=max(features // 8, 1))
        self.gamma = nn.Parameter(torch.zeros(1))

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network.

        The GMAC hold for small images: the non-local part grows with their size. An exported
        graph needs even sides; here an odd side is cut as in the release.
        """
        reach = len(self.body) * (2 * self.blocks + 1)
        return self.describe("san", body_reach=reach, sees_everything=True, size_multiple=2)

    def deep_features(self, shallow: Tensor) -> Tensor:
        """See `LongSkipNetwork`."""
        source = x = self.non_local(shallow)
        for group in self.body:
            x = group(x) + self.gamma * source  # share-source skip, equation 3
        deep: Tensor = self.non_local(x)
        return deep

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from the authors' layout to ours."""
        rules = [
            (r"RG\.\d+\.gamma|conv_last\..*|non_local\.soca\..*", ""),  # unused in the result
            (r"RG\.(\d+)\.rcab\.(\d+)\.conv_first\.0\.(\w+)", r"body.\1.blocks.\2.conv1.\3"),
            (r"RG\.(\d+)\.rcab\.(\d+)\.conv_first\.2\.(\w+)", r"body.\1.blocks.\2.conv2.\3"),
            (r"RG\.(\d+)\.soca\.conv_du\.0\.(\w+)", r"body.\1.attention.squeeze.\2"),
            (r"RG\.(\d+)\.soca\.conv_du\.2\.(\w+)", r"body.\1.attention.excite.\2"),
            (r"RG\.(\d+)\.conv_last\.(\w+)", r"body.\1.conv.\2"),
            (r"non_local\.non_local\.(theta|phi)\.(\w+)", r"non_local.\1.\2"),
            (r"non_local\.non_local\.g\.(\w+)", r"non_local.value.\1"),
            (r"non_local\.non_local\.W\.(\w+)", r"non_local.out.\1"),
            *ends_of_edsr(),
        ]
        return rename(self.mean_shift.taken_from(state), rules)
