"""Recurrent networks, which are run on whole clips."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class WholeClipNetwork(Protocol):
    """A network that upscales every frame of a clip in one pass over it.

    Its `forward` takes a window of the spec's length like any other network's, and returns the
    centre alone: the state then starts at the first frame of the window.
    """

    def upscale_clip(self, clip: Tensor, /) -> Tensor:
        """Upscale all frames: `(N, T, 3, H, W)` in [0, 1] to `(N, T, 3, sH, sW)`."""
