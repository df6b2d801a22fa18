"""Training-only adapter from a student's feature to the shape of the teacher's."""

from __future__ import annotations

from torch import Tensor, nn

from vsrc.compressor.features.tap_shapes import TapShape


class SubPixelAdapter(nn.Module):
    """1x1 convolution and pixel shuffle to another channel count and a larger size.

    Args:
        source: Shape of the student's feature.
        target: Shape of the teacher's feature; its ratio is an integer multiple of the source's.
    """

    def __init__(self, source: TapShape, target: TapShape) -> None:
        super().__init__()
        enlarged = target.ratio / source.ratio
        if enlarged.denominator != 1:
            raise ValueError(
                f"a feature at {source.ratio} of the LR side cannot be shuffled to {target.ratio}: "
                "tap the student at a depth whose size divides the teacher's"
            )
        self.factor = enlarged.numerator
        self.conv = nn.Conv2d(source.channels, target.channels * self.factor**2, 1)
        assert self.conv.bias is not None
        # A random bias, squared and summed over the channels, would dominate the feature at first.
        nn.init.zeros_(self.conv.bias)

    def forward(self, feature: Tensor) -> Tensor:
        """Map `(N, Cs, h, w)` to `(N, Ct, r h, r w)`."""
        return nn.functional.pixel_shuffle(self.conv(feature), self.factor)

    def before_shuffle(self, feature: Tensor) -> Tensor:
        """Return the values of `forward` as `(N, Ct, r * r, h, w)`.

        A sum over channels can be taken here and shuffled afterwards, which avoids a pass over
        memory at HR with all Ct channels.
        """
        wide: Tensor = self.conv(feature)
        return wide.reshape(len(wide), -1, self.factor**2, *wide.shape[2:])
