"""The teacher of PISR (Lee et al., ECCV 2020) as a network like any other, but for what it sees.

    HR ─ Y ─ encoder ─ code, of the LR picture's size ─ FSRCNN ─ restored Y ─ + chroma of HR ─ SR

It is told the answer, so it can only teach: it restores LR pictures no better than chance.
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from vsrc.compressor.networks.image.fsrcnn import FsrcnnTeacher
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.runtime.spec import NetworkSpec


class HrTeacher(nn.Module):
    """See the picture above.

    Args:
        scale: SR/LR side ratio.
    """

    sees_hr = True

    def __init__(self, *, scale: int = 4) -> None:
        super().__init__()
        self.scale = scale
        self.core = FsrcnnTeacher(scale=scale, channels=1)
        self.colour = LumaPath(scale)

    @cached_property
    def spec(self) -> NetworkSpec:
        """What the outside must know to feed it."""
        decoder = self.core.decoder.spec
        return NetworkSpec(
            name="fsrcnn-teacher",
            arguments={"scale": self.scale},
            scale=self.scale,
            window=1,
            halo=decoder.halo + 3,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self) * self.scale**2,
            size_multiple=self.scale,
            colour="y",
            stages=("core.encoder", *(f"core.decoder.{stage}" for stage in decoder.stages)),
        )

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Tensors by our names, from those of PISR."""
        if any(key.startswith("core.") for key in state):
            return state
        return {f"core.{key}": tensor for key, tensor in self.core.adapt_checkpoint(state).items()}

    def forward(self, hr: Tensor) -> Tensor:
        """Restore a picture that it is shown.

        Args:
            hr: `(N, 3, sH, sW)` float32 RGB in [0, 1], H and W whole.

        Returns:
            The same shape, not clipped.
        """
        luma = self.colour.luma(hr)
        restored, _ = self.core(luma)
        # Y counts the same in R, G and B (BT.601, studio swing).
        sr: Tensor = hr + (restored - luma) * (255 / 219)
        return sr
