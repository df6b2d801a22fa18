"""Spatial-temporal deformable feature aggregation (STDAN, section 3.3).

Every frame attends to all others. For a pair of frames a deformable 3x3 window samples the other
frame; of its nine positions the two that match the query best are merged (key-point selection, k =
3, T = 2), and their match is the weight of that frame.

    query frame ──┬─ offsets ─┐
    other frame ──┴───────────┴─ nine keys, nine values ─ best two ─ merged value, fit
                                                                          │
                           softmax of the fits over the other frames ─ sum ─ conv ─ + query frame

Which two are best is a hard choice: on near ties it differs between float32 and half precision.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.deform import deform_columns, offsets_and_mask
from vsrc.compressor.networks.layers.pyramid import conv3, lrelu

TAPS = 9
BEST = 2


class Aggregation(nn.Module):
    """Aggregate into every frame of a window features of all others.

    Args:
        features: Channels in and out.
        embedded: Channels of query, key and value.
        groups: Deformable groups; they divide `embedded`.
    """

    def __init__(self, features: int, *, embedded: int, groups: int) -> None:
        super().__init__()
        self.conv_first = conv3(features, embedded)
        names = ("w_qs", "w_ks", "w_vs")
        self.qkv_maps = nn.ModuleDict({name: nn.Linear(embedded, embedded) for name in names})
        self.deformable_corr = DeformableAttention(embedded, groups=groups)
        self.conv_last = conv3(embedded, features)

    def forward(self, frames: Tensor) -> Tensor:
        """Map `(N, T, C, H, W)` to `(N * T, C, H, W)`."""
        batch, window = frames.shape[:2]
        first = self.conv_first(frames.flatten(0, 1))
        query, key, value = (
            _per_pixel(layer, first).reshape(batch, window, *first.shape[1:])
            for layer in self.qkv_maps.values()
        )
        asked = [self._ask(index, query, key, value) for index in range(window)]
        gathered: Tensor = self.conv_last(torch.stack(asked, dim=1).flatten(0, 1))
        return frames.flatten(0, 1) + gathered

    def _ask(self, index: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Attention of frame `index` to all others, `(N, E, H, W)`."""
        batch, window = query.shape[:2]
        others = [other for other in range(window) if other != index]
        queries = torch.stack([query[:, index]] * len(others), dim=1).flatten(0, 1)
        keys = torch.stack([key[:, other] for other in others], dim=1).flatten(0, 1)
        values = torch.stack([value[:, other] for other in others], dim=1).flatten(0, 1)
        fit, merged = self.deformable_corr(queries, keys, values)
        fit, merged = (x.reshape(batch, len(others), *x.shape[1:]) for x in (fit, merged))
        heard: Tensor = (torch.softmax(fit, dim=1) * merged).sum(dim=1)
        return heard


class DeformableAttention(nn.Module):
    """Deformable attention of one frame to another, with the official names.

    Args:
        embedded: Channels of query, key and value.
        groups: Deformable groups.
    """

    def __init__(self, embedded: int, *, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.offset_conv1 = conv3(2 * embedded, embedded)
        self.offset_conv2 = conv3(embedded, embedded)
        offsets = conv3(embedded, groups * 3 * TAPS)
        nn.init.zeros_(offsets.weight)
        assert offsets.bias is not None
        nn.init.zeros_(offsets.bias)
        self.dcn_attention = nn.ModuleDict({"conv_offset_mask": offsets})

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Match with the other frame, `(N, 1, H, W)`, and its merged value, `(N, E, H, W)`."""
        motion = lrelu(self.offset_conv1(torch.cat((query, key), dim=1)))
        motion = lrelu(self.offset_conv2(motion))
        offset, mask = offsets_and_mask(self.dcn_attention["conv_offset_mask"](motion))
        keys, values = self._sampled(key, value, offset, mask)
        likeness = (keys * query.unsqueeze(2)).sum(dim=1)
        best, taps = likeness.topk(BEST, dim=1)
        share = torch.softmax(best, dim=1)
        places = taps.unsqueeze(1).expand(-1, value.shape[1], -1, -1, -1)
        merged = (torch.gather(values, 2, places) * share.unsqueeze(1)).sum(dim=2)
        # The paper merges the two keys and multiplies by the query; that equals the merged match.
        return (best * share).sum(dim=1, keepdim=True), merged

    def _sampled(
        self, key: Tensor, value: Tensor, offset: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Key and value at the nine positions, which they share; `(N, E, 9, H, W)` each."""
        batch, embedded, height, width = key.shape
        grouped = (batch, self.groups, embedded // self.groups, height, width)
        both = torch.cat((key.reshape(grouped), value.reshape(grouped)), dim=2).flatten(1, 2)
        columns = deform_columns(both, offset, mask, kernel=(3, 3), padding=1)
        columns = columns.reshape(batch, self.groups, 2, -1, TAPS, height, width)
        keys, values = (
            columns[:, :, which].reshape(batch, embedded, TAPS, height, width) for which in (0, 1)
        )
        return keys, values


def _per_pixel(layer: nn.Module, x: Tensor) -> Tensor:
    """A linear layer over the channels of `(N, C, H, W)`, as a 1x1 convolution."""
    assert isinstance(layer, nn.Linear)
    return F.conv2d(x, layer.weight[:, :, None, None], layer.bias)
