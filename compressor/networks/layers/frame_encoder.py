"""Networks in two parts, the first of which encodes frames independently of the window.

    F = 1, window of 5                           F = 3, window of 5 (FastDVDnet)

    t-2   t-1    t    t+1   t+2                  t-2   t-1    t    t+1   t+2
     │     │     │     │     │                    └─────┼─────┘ │     │
   encode ...  encode  ... encode                     encode ───┴─────┘ ...
     └─────┴─────┼─────┴─────┘                          └── three maps, one for each run of 3
                fuse ─ SR of t                                      │
                                                                   fuse ─ SR of t

When the window moves on by a frame only one of its maps is new: each is computed once for all its
    windows. Such a network is exported as two graphs beside the whole one.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class FrameEncoder(Protocol):
    """A network whose `forward` is `encode` for each run of frames, then `fuse`.

    Neither pads: both take H and W that are multiples of the spec's `size_multiple`.

    Attributes:
        encoded_frames: F, number of consecutive frames that `encode` takes.
    """

    encoded_frames: int

    def encode(self, frames: Tensor, /) -> tuple[Tensor, ...]:
        """Encode one frame `(N, 3, H, W)`, or of a run `(N, F, 3, H, W)` where F > 1.

        Returns:
            Maps `(N, C, h, w)`, each of its own size.
        """

    def fuse(self, features: tuple[Tensor, ...], centre: Tensor, /) -> Tensor:
        """Compute the result of `forward` from the feature maps of a window of T frames.

        Args:
            features: Outputs of `encode`, stacked: `(N, T - F + 1, C, h, w)`, in order of time.
            centre: Frame T // 2 of the window, `(N, 3, H, W)`.
        """


def count_encoded_runs(window: int, *, encoded_frames: int) -> int:
    """Number of sets of feature maps of a window."""
    return window - encoded_frames + 1
