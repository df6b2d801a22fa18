"""Networks whose windows may come as one tensor of four axes.

Converters for phones (pnnx, ncnn) and many players know tensors of at most four axes. A network
with this method is exported for them without a fifth axis anywhere inside.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class StackedFrames(Protocol):
    """A network that also takes the frames of a window stacked in the channels."""

    def forward_stacked(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame: `(N, 3 T, H, W)` to `(N, 3, sH, sW)`."""
