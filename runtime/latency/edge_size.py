"""Width and depth of a network of the `edge` family, shared by profiles and networks."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class EdgeSize:
    """Channels and depth of an `edge` network.

    Attributes:
        encoded: Number of channels of a frame's features; 0 if the frames themselves are fused.
        features: Number of channels of the body.
        blocks: Number of 3x3 convolutions of the body.
    """

    encoded: int
    features: int
    blocks: int

    def __post_init__(self) -> None:
        if self.encoded < 0 or min(self.features, self.blocks) < 1:
            raise ValueError(f"size {self} must be at least 0x1x1")

    def __str__(self) -> str:
        return f"{self.encoded}x{self.features}x{self.blocks}"

    @property
    def fused(self) -> int:
        """Channels of a frame where the frames are fused."""
        return self.encoded or 3

    def kilo_mac(self, *, scale: int, window: int) -> float:
        """Thousands of multiply-accumulates per LR pixel and output frame, branches merged."""
        encoder = window * 3 * self.encoded
        fusion = window * self.fused * self.features
        body = self.blocks * self.features**2
        tail = self.features * 3 * scale**2
        return 9 * (encoder + fusion + body + tail) / 1000

    def weights(self, *, scale: int, window: int) -> int:
        """Number of weights of the convolutions, branches merged, without biases."""
        fusion = window * self.fused * self.features
        body = self.blocks * self.features**2
        return 9 * (3 * self.encoded + fusion + body + self.features * 3 * scale**2)
