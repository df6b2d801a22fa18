"""Residual Swin transformer blocks, as in SwinIR (Liang et al. 2021) and STDAN.

    x ─ conv_first ─┬─ norm ─ group ─ group ─ ... ─ norm ─ conv_after_body ─ + ─ conv_last ─ y
                    └───────────────────────────────────────────────────────┘
    group:  x ─┬─ block ─ shifted block ─ block ─ ... ─ conv ─ +
               └───────────────────────────────────────────────┘

A block attends inside windows of 8x8 pixels; every second one has its windows shifted by half of
that, so that neighbouring windows interact. State-dict names are SwinIR's. Stochastic depth is left
out: it changes training only, and a teacher is loaded rather than trained here.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.pyramid import conv3

WINDOW = 8
SHIFT = WINDOW // 2
STORED_GRID = 4
"""Windows along each axis of the 32x32 training patch that the stored masks are made for."""


class SwinBody(nn.Module):
    """Convolution, groups of transformer blocks, convolution; feature maps in and out.

    Args:
        features: Channels in and out.
        embedded: Channels inside.
        heads: Attention heads.
        groups: Residual groups.
        depth: Blocks of a group.
    """

    def __init__(
        self, features: int, *, embedded: int, heads: int, groups: int, depth: int
    ) -> None:
        super().__init__()
        self.conv_first = conv3(features, embedded)
        self.patch_embed = nn.ModuleDict({"norm": nn.LayerNorm(embedded)})
        layers = (SwinGroup(embedded, heads=heads, depth=depth) for _ in range(groups))
        self.layers = nn.ModuleList(layers)
        self.norm = nn.LayerNorm(embedded)
        self.conv_after_body = conv3(embedded, embedded)
        self.conv_last = conv3(embedded, features)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape; H and W are multiples of `WINDOW`."""
        first = self.conv_first(x)
        body = _over_channels(self.patch_embed["norm"], first)
        for layer in self.layers:
            body = layer(body)
        body = self.conv_after_body(_over_channels(self.norm, body))
        last: Tensor = self.conv_last(body + first)
        return last


class SwinGroup(nn.Module):
    """Blocks and a convolution with a residual connection around them.

    Args:
        channels: Channels in and out.
        heads: Attention heads.
        depth: Blocks; every second one is shifted.
    """

    def __init__(self, channels: int, *, heads: int, depth: int) -> None:
        super().__init__()
        blocks = [SwinBlock(channels, heads=heads, shifted=i % 2 == 1) for i in range(depth)]
        self.residual_group = nn.ModuleDict({"blocks": nn.Sequential(*blocks)})
        self.conv = conv3(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, C, H, W)` to the same shape."""
        body = self.residual_group["blocks"](x.permute(0, 2, 3, 1))
        convolved: Tensor = self.conv(body.permute(0, 3, 1, 2))
        return x + convolved


class SwinBlock(nn.Module):
    """Attention in windows, then a two-layer perceptron, each with normalised input and a skip.

    Args:
        channels: Channels in and out.
        heads: Attention heads.
        shifted: Whether windows are shifted by half a window down and right, cyclically.
    """

    def __init__(self, channels: int, *, heads: int, shifted: bool) -> None:
        super().__init__()
        self.shifted = shifted
        self.norm1 = nn.LayerNorm(channels)
        self.attn = WindowAttention(channels, heads=heads)
        self.norm2 = nn.LayerNorm(channels)
        widen, narrow = _linear(channels, 2 * channels), _linear(2 * channels, channels)
        self.mlp = nn.ModuleDict({"fc1": widen, "fc2": narrow})
        if shifted:
            self.register_buffer("attn_mask", _mask_shifted_windows())

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, H, W, C)` to the same shape."""
        x = x + self._attended(self.norm1(x))
        mixed: Tensor = self.mlp["fc2"](F.gelu(self.mlp["fc1"](self.norm2(x))))
        return x + mixed

    def _attended(self, x: Tensor) -> Tensor:
        if not self.shifted:
            return self._in_windows(x, mask=None)
        rows, columns = x.shape[1] // WINDOW, x.shape[2] // WINDOW
        moved = self._in_windows(_roll(x, SHIFT), mask=self._mask(rows, columns))
        return _roll(moved, -SHIFT)

    def _in_windows(self, x: Tensor, *, mask: Tensor | None) -> Tensor:
        batch, height, width, channels = x.shape
        rows, columns = height // WINDOW, width // WINDOW
        windows: Tensor = x.reshape(batch, rows, WINDOW, columns, WINDOW, channels).transpose(2, 3)
        tokens = windows.reshape(batch, rows * columns, WINDOW * WINDOW, channels)
        windows = self.attn(tokens, mask=mask)
        windows = windows.reshape(batch, rows, columns, WINDOW, WINDOW, channels).transpose(2, 3)
        return windows.reshape(batch, height, width, channels)

    def _mask(self, rows: int, columns: int) -> Tensor:
        """Masks of an image of `rows` by `columns` windows, `(rows * columns, 64, 64)`.

        Only the last row and column of windows have seams, so the masks of 4x4 windows stored in
        the official files cover all cases: index 0 for an inner window, 3 for a last one.
        """
        masks = self.get_buffer("attn_mask")
        last = STORED_GRID - 1
        row = (torch.arange(rows, device=masks.device) == rows - 1).long() * last
        column = (torch.arange(columns, device=masks.device) == columns - 1).long() * last
        return masks[(row[:, None] * STORED_GRID + column[None, :]).flatten()]


class WindowAttention(nn.Module):
    """Multi-head attention among the 64 pixels of a window, with a bias for each displacement.

    Args:
        channels: Channels in and out.
        heads: Attention heads.
    """

    def __init__(self, channels: int, *, heads: int) -> None:
        super().__init__()
        self.heads = heads
        table = torch.zeros((2 * WINDOW - 1) ** 2, heads)
        self.relative_position_bias_table = nn.Parameter(nn.init.trunc_normal_(table, std=0.02))
        self.register_buffer("relative_position_index", _displacements())
        self.qkv = _linear(channels, 3 * channels)
        self.proj = _linear(channels, channels)

    def forward(self, x: Tensor, *, mask: Tensor | None) -> Tensor:
        """Attend within windows.

        Args:
            x: `(N, windows, 64, C)`.
            mask: `(windows, 64, 64)`, added to the scores.
        """
        batch, windows, tokens, channels = x.shape
        parts = self.qkv(x).reshape(batch, windows, tokens, 3, self.heads, channels // self.heads)
        query, key, value = parts.permute(3, 0, 1, 4, 2, 5).unbind(0)
        scale = (channels // self.heads) ** -0.5
        scores = (query * scale) @ key.transpose(-2, -1) + self._bias(tokens)
        if mask is not None:
            scores = scores + mask[:, None]
        mixed = torch.softmax(scores, dim=-1) @ value
        joined: Tensor = self.proj(mixed.transpose(2, 3).reshape(batch, windows, tokens, channels))
        return joined

    def _bias(self, tokens: int) -> Tensor:
        """Relative position bias, `(heads, 64, 64)`."""
        index = self.get_buffer("relative_position_index").flatten()
        bias = self.relative_position_bias_table[index].reshape(tokens, tokens, self.heads)
        return bias.permute(2, 0, 1)


def _linear(channels: int, features: int) -> nn.Linear:
    layer = nn.Linear(channels, features)
    nn.init.trunc_normal_(layer.weight, std=0.02)
    nn.init.zeros_(layer.bias)
    return layer


def _over_channels(norm: nn.Module, x: Tensor) -> Tensor:
    """Layer normalisation of `(N, C, H, W)` over C."""
    normed: Tensor = norm(x.permute(0, 2, 3, 1))
    return normed.permute(0, 3, 1, 2)


def _roll(x: Tensor, shift: int) -> Tensor:
    """Roll `(N, H, W, C)` up and left by `shift` pixels, cyclically.

    Slices, not torch.roll, which is exported with an index for every pixel.
    """
    x = torch.cat((x[:, shift:], x[:, :shift]), dim=1)
    return torch.cat((x[:, :, shift:], x[:, :, :shift]), dim=2)


def _displacements() -> Tensor:
    """Row of the bias table for each pair of pixels of a window, `(64, 64)`."""
    place = torch.arange(WINDOW * WINDOW)
    row, column = place // WINDOW, place % WINDOW
    down = row[:, None] - row[None, :] + WINDOW - 1
    right = column[:, None] - column[None, :] + WINDOW - 1
    return down * (2 * WINDOW - 1) + right


def _mask_shifted_windows() -> Tensor:
    """Masks of the shifted windows of a 32x32 patch, `(16, 64, 64)`: 0, or -100 across a seam.

    After the roll the last window of an axis holds 4 pixels of one edge and 4 of the other.
    """
    side = STORED_GRID * WINDOW
    place = torch.arange(side)
    band = (place >= side - WINDOW).long() + (place >= side - SHIFT).long()
    region = 3 * band[:, None] + band[None, :]
    windows = region.reshape(STORED_GRID, WINDOW, STORED_GRID, WINDOW).transpose(1, 2)
    windows = windows.reshape(STORED_GRID**2, WINDOW * WINDOW)
    return (windows[:, :, None] != windows[:, None, :]).float() * -100.0
