"""Width and depth of a member of the `edge` family, which profiles and networks speak of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class EdgeSize:
    """Channels and depth.

    Attributes:
        encoded: Channels of a frame's features.
        features: Channels of the body.
        blocks: 3x3 convolutions of the body.
    """

    encoded: int
    features: int
    blocks: int

    def __post_init__(self) -> None:
        if min(self.encoded, self.features, self.blocks) < 1:
            raise ValueError(f"size {self} must be at least 1x1x1")

    def __str__(self) -> str:
        return f"{self.encoded}x{self.features}x{self.blocks}"

    def kilo_mac(self, *, scale: int, window: int) -> float:
        """1000 multiply-accumulates of a restored frame for each LR pixel, branches merged."""
        encoder = window * 3 * self.encoded
        fusion = window * self.encoded * self.features
        body = self.blocks * self.features**2
        tail = self.features * 3 * scale**2
        return 9 * (encoder + fusion + body + tail) / 1000
