"""EDVR: video restoration with enhanced deformable convolutions (Wang et al., CVPRW 2019).

    frame ─ [predeblur] ─ extract ─ pyramid L1, L2, L3           encode: each frame by itself
                                        │
        every frame of the window ─ PCD: align to the centre, coarse to fine
                                        │
                         TSA: weigh in time, then in space ─ fused features
                                        │
        reconstruct ─ upconv1, shuffle 2 ─ upconv2, shuffle 2 ─ conv_hr ─ F^SR ─ conv_last ─ + ─ SR
                                                                                             │
                                                      centre frame, upscaled bilinearly ─────┘

State-dict names are those of the official release (BasicSR, `edvr_arch.py`), so its files load
unchanged. Sizes M and L are the official ones; XS is a small size of our own that trains on a CPU.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.blocks import ResidualBlock, crop_to, pad_to_multiple
from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.compressor.networks.layers.deform import ModulatedDeformConv
from vsrc.compressor.networks.layers.pyramid import Pyramid, conv3, double, flat, lrelu, to_windows
from vsrc.runtime.spec import Argument, NetworkSpec

TYPICAL_OFFSET = 10
"""Assumed reach of a deformable convolution, pixels of L1: motion between frames times the radius
of the window. The network does not bound it; tiles have this much context for it."""


@dataclass(frozen=True)
class EdvrSize:
    """Channels and depth of one member of the family.

    Attributes:
        features: Channels everywhere below the output resolution.
        hr_features: Channels at the output resolution.
        groups: Deformable groups.
        extract_blocks: Residual blocks on each frame.
        reconstruct_blocks: Residual blocks after the fusion.
    """

    features: int
    hr_features: int
    groups: int
    extract_blocks: int
    reconstruct_blocks: int


SIZES = {
    "xs": EdvrSize(16, 16, groups=2, extract_blocks=2, reconstruct_blocks=4),
    "m": EdvrSize(64, 64, groups=8, extract_blocks=5, reconstruct_blocks=10),
    "l": EdvrSize(128, 64, groups=8, extract_blocks=5, reconstruct_blocks=40),
}


def _pool(x: Tensor) -> Tensor:
    """Halve height and width by maximum and mean of 3x3, `(N, 2C, H/2, W/2)`."""
    return torch.cat((F.max_pool2d(x, 3, 2, padding=1), F.avg_pool2d(x, 3, 2, padding=1)), dim=1)


class Predeblur(nn.Module):
    """First layers for blurred or large frames (section 3.1).

    Args:
        features: Channels out.
        hr_input: Whether frames have the size of the output: two more strided convolutions
            come first.
    """

    def __init__(self, features: int, *, hr_input: bool) -> None:
        super().__init__()
        self.hr_input = hr_input
        self.conv_first = conv3(3, features)
        if hr_input:
            self.stride_conv_hr1 = conv3(features, features, stride=2)
            self.stride_conv_hr2 = conv3(features, features, stride=2)
        self.stride_conv_l2 = conv3(features, features, stride=2)
        self.stride_conv_l3 = conv3(features, features, stride=2)
        self.resblock_l3 = ResidualBlock(features)
        self.resblock_l2_1 = ResidualBlock(features)
        self.resblock_l2_2 = ResidualBlock(features)
        self.resblock_l1 = nn.ModuleList(ResidualBlock(features) for _ in range(5))

    def forward(self, frame: Tensor) -> Tensor:
        """Map `(N, 3, H, W)` to `(N, C, H, W)`, or to `(N, C, H/4, W/4)` for HR input."""
        level1 = lrelu(self.conv_first(frame))
        if self.hr_input:
            level1 = lrelu(self.stride_conv_hr2(lrelu(self.stride_conv_hr1(level1))))
        level2 = lrelu(self.stride_conv_l2(level1))
        level3 = lrelu(self.stride_conv_l3(level2))
        level2 = self.resblock_l2_1(level2) + double(self.resblock_l3(level3))
        coarse = double(self.resblock_l2_2(level2))
        for index, block in enumerate(self.resblock_l1):
            level1 = block(level1)
            if index == 1:
                level1 = level1 + coarse
        return level1


class PcdAlign(nn.Module):
    """Pyramid, cascading and deformable alignment (section 3.2).

    Args:
        features: Channels of every level.
        groups: Deformable groups.
    """

    def __init__(self, features: int, *, groups: int) -> None:
        super().__init__()

        def convs(inputs: dict[str, int]) -> nn.ModuleDict:
            return nn.ModuleDict({k: conv3(n * features, features) for k, n in inputs.items()})

        self.offset_conv1 = convs({"l3": 2, "l2": 2, "l1": 2})
        self.offset_conv2 = convs({"l3": 1, "l2": 2, "l1": 2})
        self.offset_conv3 = convs({"l2": 1, "l1": 1})
        self.dcn_pack = nn.ModuleDict(
            {key: ModulatedDeformConv(features, groups=groups) for key in ("l3", "l2", "l1")}
        )
        self.feat_conv = convs({"l2": 2, "l1": 2})
        self.cas_offset_conv1 = conv3(2 * features, features)
        self.cas_offset_conv2 = conv3(features, features)
        self.cas_dcnpack = ModulatedDeformConv(features, groups=groups)

    def forward(self, neighbour: Pyramid, reference: Pyramid) -> Tensor:
        """Align the features of a neighbour to the reference, `(N, C, H, W)`."""
        motion = self._motion("l3", neighbour[2], reference[2])
        motion = lrelu(self.offset_conv2["l3"](motion))
        aligned = lrelu(self.dcn_pack["l3"](neighbour[2], motion))
        motion, aligned = self._refine("l2", neighbour[1], reference[1], motion, aligned)
        _, aligned = self._refine("l1", neighbour[0], reference[0], motion, lrelu(aligned))
        motion = lrelu(self.cas_offset_conv1(torch.cat((aligned, reference[0]), dim=1)))
        motion = lrelu(self.cas_offset_conv2(motion))
        return lrelu(self.cas_dcnpack(aligned, motion))

    def _motion(self, level: str, neighbour: Tensor, reference: Tensor) -> Tensor:
        return lrelu(self.offset_conv1[level](torch.cat((neighbour, reference), dim=1)))

    def _refine(
        self, level: str, neighbour: Tensor, reference: Tensor, motion: Tensor, aligned: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Refine by one level, from motion and aligned features of the coarser level, upscaled.

        A motion of one pixel is two pixels of the finer level, hence the factor.
        """
        coarse, motion = double(motion) * 2, self._motion(level, neighbour, reference)
        motion = lrelu(self.offset_conv2[level](torch.cat((motion, coarse), dim=1)))
        motion = lrelu(self.offset_conv3[level](motion))
        fine = self.dcn_pack[level](neighbour, motion)
        return motion, self.feat_conv[level](torch.cat((fine, double(aligned)), dim=1))


class TsaFusion(nn.Module):
    """Temporal and spatial attention (section 3.3).

    Args:
        features: Channels of every frame, and of the result.
        window: Frames.
    """

    def __init__(self, features: int, *, window: int) -> None:
        super().__init__()
        self.temporal_attn1 = conv3(features, features)
        self.temporal_attn2 = conv3(features, features)
        self.feat_fusion = nn.Conv2d(window * features, features, 1)
        self.spatial_attn1 = nn.Conv2d(window * features, features, 1)
        self.spatial_attn2 = nn.Conv2d(2 * features, features, 1)
        self.spatial_attn3 = conv3(features, features)
        self.spatial_attn4 = nn.Conv2d(features, features, 1)
        self.spatial_attn5 = conv3(features, features)
        self.spatial_attn_l1 = nn.Conv2d(features, features, 1)
        self.spatial_attn_l2 = conv3(2 * features, features)
        self.spatial_attn_l3 = conv3(features, features)
        self.spatial_attn_add1 = nn.Conv2d(features, features, 1)
        self.spatial_attn_add2 = nn.Conv2d(features, features, 1)

    def forward(self, aligned: Tensor) -> Tensor:
        """Fuse aligned frames `(N, T, C, H, W)` to one map `(N, C, H, W)`."""
        weighted = (aligned * self._likeness(aligned)).flatten(1, 2)
        fused = lrelu(self.feat_fusion(weighted))
        attention = self._spatial(weighted)
        added: Tensor = self.spatial_attn_add2(lrelu(self.spatial_attn_add1(attention)))
        return fused * torch.sigmoid(attention) * 2 + added

    def _likeness(self, aligned: Tensor) -> Tensor:
        """Similarity of each frame to the centre frame, `(N, T, 1, H, W)` in (0, 1)."""
        batch, window = aligned.shape[:2]
        centre = self.temporal_attn1(aligned[:, window // 2])
        frames = self.temporal_attn2(aligned.flatten(0, 1))
        frames = frames.reshape(batch, window, *frames.shape[1:])
        return torch.sigmoid((frames * centre[:, None]).sum(dim=2, keepdim=True))

    def _spatial(self, weighted: Tensor) -> Tensor:
        half = lrelu(self.spatial_attn2(_pool(lrelu(self.spatial_attn1(weighted)))))
        quarter = lrelu(self.spatial_attn_l2(_pool(lrelu(self.spatial_attn_l1(half)))))
        quarter = double(lrelu(self.spatial_attn_l3(quarter)))
        half = lrelu(self.spatial_attn4(lrelu(self.spatial_attn3(half)) + quarter))
        attention: Tensor = self.spatial_attn5(double(half))
        return attention


class Edvr(nn.Module):
    """The network in the diagram above.

    Args:
        size: Channels and depth.
        name: Name in the table of networks.
        tsa: Whether to fuse with attention instead of one 1x1 convolution.
        predeblur: Whether the pre-deblur module comes first.
        hr_input: Whether input frames have the size of the output (deblurring); needs `predeblur`.
        window: Frames fed at once, odd.
    """

    encoded_frames = 1

    def __init__(
        self,
        size: EdvrSize,
        *,
        name: str,
        tsa: bool = True,
        predeblur: bool = False,
        hr_input: bool = False,
        window: int = 5,
    ) -> None:
        super().__init__()
        if hr_input and not predeblur:
            raise ValueError("hr_input=True needs predeblur=True, which downscales the frames")
        self.name, self.size, self.window = name, size, window
        self.tsa, self.hr_input = tsa, hr_input
        self.scale, self.size_multiple = (1, 16) if hr_input else (4, 4)
        self._build_encoder(size.features, predeblur=predeblur)
        self.pcd_align = PcdAlign(size.features, groups=size.groups)
        self.fusion: nn.Module = (
            TsaFusion(size.features, window=window)
            if tsa
            else nn.Conv2d(window * size.features, size.features, 1)
        )
        self._build_tail(size.features, size.hr_features)

    def _build_encoder(self, features: int, *, predeblur: bool) -> None:
        self.predeblur: Predeblur | None = None
        if predeblur:
            self.predeblur = Predeblur(features, hr_input=self.hr_input)
            self.conv_1x1 = nn.Conv2d(features, features, 1)
        else:
            self.conv_first = conv3(3, features)
        blocks = (ResidualBlock(features) for _ in range(self.size.extract_blocks))
        self.feature_extraction = nn.Sequential(*blocks)
        self.conv_l2_1 = conv3(features, features, stride=2)
        self.conv_l2_2 = conv3(features, features)
        self.conv_l3_1 = conv3(features, features, stride=2)
        self.conv_l3_2 = conv3(features, features)

    def _build_tail(self, features: int, hr_features: int) -> None:
        blocks = (ResidualBlock(features) for _ in range(self.size.reconstruct_blocks))
        self.reconstruction = nn.Sequential(*blocks)
        self.upconv1 = conv3(features, 4 * features)
        self.upconv2 = conv3(features, 4 * hr_features)
        self.conv_hr = conv3(hr_features, hr_features)
        # A module without weights: its output is F^SR, so that a forward hook can read it.
        self.hr_features = nn.LeakyReLU(0.1)
        self.conv_last = conv3(hr_features, 3)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        arguments: dict[str, Argument] = {
            "scale": 4,
            "tsa": self.tsa,
            "predeblur": self.predeblur is not None,
            "hr_input": self.hr_input,
            "window": self.window,
        }
        return NetworkSpec(
            name=self.name,
            arguments=arguments,
            scale=self.scale,
            window=self.window,
            halo=self._halo(),
            halo_is_exact=False,
            parameters=parameter_count(self),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=self.window),
            size_multiple=self.size_multiple,
            hr_features="hr_features",
            stages=("fusion", *(f"reconstruction.{i}" for i in range(len(self.reconstruction)))),
        )

    def _halo(self) -> int:
        """Receptive field on one side, input pixels.

        Along the longest path every 3x3 convolution adds a pixel of its own level, and going up a
        level adds one pixel of the coarser: l2 = 2 and l3 = 4 pixels of L1.
        """
        l2, l3 = 2, 4
        first = 1 + 2 * self.size.extract_blocks
        if self.predeblur is not None:
            first += 1 + l2 + (2 * l3 + l3) + (2 * l2 + l2) + 2 * 3
        pyramid = (1 + l2) + (l2 + l3)
        # L3: offset_conv1, offset_conv2, conv_offset, taps; then feat_conv of L2 and of L1.
        align = (4 * l3 + l3) + (l2 + l2) + 1
        cascade = 4 + TYPICAL_OFFSET
        attention = 1 + (1 + l2 + 2 * l3 + l3 + l2 + 1) if self.tsa else 0
        tail = 2 * self.size.reconstruct_blocks + 2
        total = first + pyramid + align + cascade + attention + tail
        return 4 * total + 1 + 2 if self.hr_input else total

    def encode(self, frame: Tensor) -> Pyramid:
        """Encode one frame, `(N, 3, H, W)`, to a pyramid; each level `(N, C, h, w)`."""
        if self.predeblur is not None:
            level1 = self.conv_1x1(self.predeblur(frame))
        else:
            level1 = lrelu(self.conv_first(frame))
        level1 = self.feature_extraction(level1)
        level2 = lrelu(self.conv_l2_2(lrelu(self.conv_l2_1(level1))))
        level3 = lrelu(self.conv_l3_2(lrelu(self.conv_l3_1(level2))))
        return level1, level2, level3

    def align(self, features: Pyramid) -> Tensor:
        """Align a window's features, each level `(N, T, C, h, w)`, to `(N, T, C, H, W)`."""
        batch, window = features[0].shape[:2]
        centre = window // 2
        l1, l2, l3 = (level[:, centre : centre + 1].expand_as(level) for level in features)
        aligned: Tensor = self.pcd_align(flat(features), flat((l1, l2, l3)))
        return aligned.reshape(batch, window, *aligned.shape[1:])

    def fuse(self, features: Pyramid, centre: Tensor) -> Tensor:
        """Compute SR from a window's features, each level `(N, T, C, h, w)`, and its centre."""
        aligned = self.align(features)
        x: Tensor = self.fusion(aligned if self.tsa else aligned.flatten(1, 2))
        x = self.reconstruction(x)
        x = lrelu(F.pixel_shuffle(self.upconv1(x), 2))
        x = lrelu(F.pixel_shuffle(self.upconv2(x), 2))
        x = self.conv_last(self.hr_features(self.conv_hr(x)))
        if self.hr_input:
            return x + centre
        return x + F.interpolate(centre, scale_factor=4.0, mode="bilinear", align_corners=False)

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame.

        Args:
            lr: `(N, T, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, 4H, 4W)`, or `(N, 3, H, W)` for HR input; not clipped.
        """
        height, width = lr.shape[-2:]
        lr = pad_to_multiple(lr, self.size_multiple)
        batch, window = lr.shape[:2]
        features = to_windows(self.encode(lr.flatten(0, 1)), batch=batch)
        sr = self.fuse(features, lr[:, window // 2])
        return crop_to(sr, height=self.scale * height, width=self.scale * width)


def edvr(
    size: str,
    /,
    *,
    scale: int = 4,
    tsa: bool = True,
    predeblur: bool = False,
    hr_input: bool = False,
    window: int = 5,
) -> Edvr:
    """Build an EDVR of one of the `SIZES`; arguments as in `Edvr`; `scale` must be 4.

    The official L for Vimeo-90K has a window of 7 frames.
    """
    name = f"edvr-{size}"
    if scale != 4:
        raise ValueError(f"{scale=}: {name} upscales by 4 only; use scale=4 or another network")
    if window < 1 or window % 2 == 0:
        raise ValueError(f"{window=}: {name} upscales the centre frame, so its window must be odd")
    return Edvr(
        SIZES[size], name=name, tsa=tsa, predeblur=predeblur, hr_input=hr_input, window=window
    )


edvr_xs = partial(edvr, "xs")
"""16 channels, 166 thousand parameters; our own size, small enough to train on a CPU."""

edvr_m = partial(edvr, "m")
"""64 channels, 3.3 million parameters; the official EDVR-M."""

edvr_l = partial(edvr, "l")
"""128 channels, 20.6 million parameters; the official EDVR-L."""
