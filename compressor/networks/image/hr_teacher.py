"""The teacher of PISR (Lee et al., ECCV 2020), whose input is the HR image.

    HR ─ Y ─ encoder ─ code, of the LR image's size ─ FSRCNN ─ Y of SR ─ + chroma of HR ─ SR

As its input is the ground truth, it can only be a teacher: it does not upscale LR images.
"""

from __future__ import annotations

from functools import cached_property

from torch import Tensor, nn

from vsrc.compressor.networks.image.fsrcnn import FsrcnnTeacher
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.luma import LumaPath
from vsrc.runtime.spec import NetworkSpec


class HrTeacher(nn.Module):
    """The network in the diagram above.

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
        """Scale, window, halo and taps of the network."""
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
        """Rename tensors from PISR's layout to ours."""
        if any(key.startswith("core.") for key in state):
            return state
        return {f"core.{key}": tensor for key, tensor in self.core.adapt_checkpoint(state).items()}

    def forward(self, hr: Tensor) -> Tensor:
        """Reconstruct an HR image.

        Args:
            hr: `(N, 3, sH, sW)` float32 RGB in [0, 1], both sides multiples of the scale.

        Returns:
            The same shape, not clipped.
        """
        luma = self.colour.luma(hr)
        reconstructed, _ = self.core(luma)
        # Y contributes equally to R, G and B (BT.601, studio swing).
        sr: Tensor = hr + (reconstructed - luma) * (255 / 219)
        return sr
