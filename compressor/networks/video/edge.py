"""`edge`: our students for edge accelerators, nothing but 3x3 convolutions and ReLU.

    frame t-2 ─┐         ┌────────── N times ─────────┐
      ...      ─┼─ fuse ─ RepConv 3x3 ─ ReLU ─ ... ─ tail 3x3 ─ shuffle ─ + ─ SR
    frame t+2 ─┘                                                         │
                              centre frame, upscaled bilinearly ─────────┘

The frames of a window are stacked and fused at once. At the same time on a CPU this gives 0.4 dB
more than encoding each frame first (`EncodedEdge`): the encoder's channels are many, and writing
and reading them costs as much as three convolutions of the body (docs/results/deciding-run.md).
In training every body convolution is the sum of four branches (as in ECBSR, Zhang et al. 2021,
section 3.2, and ETDS, Chao et al. 2023), and the fusion is trained on differences between frames;
`collapsed` folds each into one plain convolution, which is exported.
No warping, no attention, no activation but ReLU: INT8 ranges stay small and every runtime is fast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsrc.compressor.networks.layers.counting import gmac_per_lr_pixel, parameter_count
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.spec import Argument, NetworkSpec

SIZES = {
    "s": EdgeSize(encoded=0, features=32, blocks=5),
    "m": EdgeSize(encoded=0, features=32, blocks=11),
    "l": EdgeSize(encoded=0, features=64, blocks=11),
}
NAMED = tuple(f"edge-{size}" for size in SIZES)


class Merged(nn.Module):
    """A 3x3 convolution trained in another parametrisation and merged for deployment.

    Every form is linear, so the kernels are summed first and the input is convolved once.
    """

    def kernel(self) -> Tensor:
        """Merge the weights into the plain kernel, `(O, I, 3, 3)`."""
        raise NotImplementedError

    def bias(self) -> Tensor:
        """`(O,)`."""
        raise NotImplementedError

    def weights_of(self, kernel: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """Return weights that merge into a given plain kernel and can be trained further."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Map `(N, I, H, W)` to `(N, O, H, W)`."""
        return self.convolved(x, self.kernel(), self.bias())

    def convolved(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve the input with the plain kernel or a variant of it (such as its int8 values)."""
        return F.conv2d(x, kernel, bias, padding=1)

    def collapsed(self) -> nn.Conv2d:
        """Return a plain convolution with the same output."""
        with torch.no_grad():
            kernel = self.kernel()
            plain = nn.Conv2d(kernel.shape[1], kernel.shape[0], 3, padding=1)
            plain.weight.copy_(kernel)
            assert plain.bias is not None
            plain.bias.copy_(self.bias())
        return plain


class RepConv(Merged):
    """A convolution trained as the sum of four branches.

    3x3, 1x1, identity, and 1x1 followed by 3x3 (the 1x1 without bias, so that zero padding means
    the same before and after the two are merged).

    Args:
        features: Channels in and out.
        expansion: Channels between the 1x1 and the 3x3 of the fourth branch, as a multiple.
    """

    identity: Tensor
    centre: Tensor

    def __init__(self, features: int, *, expansion: int = 2) -> None:
        super().__init__()
        self.conv3 = nn.Conv2d(features, features, 3, padding=1)
        self.conv1 = nn.Conv2d(features, features, 1, bias=False)
        self.expand = nn.Conv2d(features, features * expansion, 1, bias=False)
        self.reduce = nn.Conv2d(features * expansion, features, 3, padding=1, bias=False)
        self.register_buffer("identity", identity_kernel(features), persistent=False)
        self.register_buffer("centre", identity_kernel(1), persistent=False)
        with torch.no_grad():
            # Initially the 3x3 branch plus identity, as in a residual block.
            self.conv3.weight.mul_(0.5)
            self.conv1.weight.mul_(0.1)
            self.reduce.weight.mul_(0.1)

    def kernel(self) -> Tensor:
        """See `Merged`."""
        merged = torch.einsum("omyx,mi->oiyx", self.reduce.weight, self.expand.weight[:, :, 0, 0])
        # Not padded: the gradient would have strides that several processes do not expect.
        pointwise = self.conv1.weight * self.centre
        return self.conv3.weight + pointwise + self.identity + merged

    def bias(self) -> Tensor:
        """See `Merged`."""
        return _bias_of(self.conv3)

    def weights_of(self, kernel: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """See `Merged`. Only `expand` keeps its weights: the layer after it is zero."""
        return {
            "conv3.weight": kernel - self.identity,
            "conv3.bias": bias,
            "conv1.weight": torch.zeros_like(self.conv1.weight),
            "expand.weight": self.expand.weight.detach(),
            "reduce.weight": torch.zeros_like(self.reduce.weight),
        }


class FusionConv(Merged):
    """Fusion of the features of all frames, trained on differences to the centre frame.

        sum_t W_t * e_t  =  W' * e_c  +  gain * sum_(t != c) W'_t * (e_t - e_c)

    The linear map is the same, but the gradient of `W'_t` is that of the difference alone, and it
    is scaled by the gain. Neighbours differ from the centre by fractions of a pixel: trained
    directly, the weights converge to the centre frame and use the others only after tens of
    thousands of steps (edge-m did not after 9,000; in this form it does after 400).

    Args:
        frames: T, odd.
        encoded: Channels of a frame.
        features: Channels out.
        gain: Factor on the update steps of the neighbours' weights.
    """

    def __init__(self, frames: int, encoded: int, features: int, *, gain: float = 4.0) -> None:
        super().__init__()
        self.frames, self.gain = frames, gain
        self.conv = nn.Conv2d(frames * encoded, features, 3, padding=1)

    def kernel(self) -> Tensor:
        """See `Merged`; I is T * encoded."""
        before, centre, after = self._by_frame(self.conv.weight)
        before, after = self.gain * before, self.gain * after
        centre = centre - before.sum(1, keepdim=True) - after.sum(1, keepdim=True)
        return torch.cat((before, centre, after), dim=1).flatten(1, 2)

    def bias(self) -> Tensor:
        """See `Merged`."""
        return _bias_of(self.conv)

    def weights_of(self, kernel: Tensor, bias: Tensor) -> dict[str, Tensor]:
        """See `Merged`."""
        before, centre, after = parts = self._by_frame(kernel)
        centre = torch.cat(parts, dim=1).sum(1, keepdim=True)
        apart = torch.cat((before / self.gain, centre, after / self.gain), dim=1)
        return {"conv.weight": apart.flatten(1, 2), "conv.bias": bias}

    def _by_frame(self, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Split the weights into those before the centre, of the centre, and after it."""
        out, channels, height, width = weight.shape
        weight = weight.view(out, self.frames, channels // self.frames, height, width)
        middle = self.frames // 2
        return weight[:, :middle], weight[:, middle : middle + 1], weight[:, middle + 1 :]


def _bias_of(convolution: nn.Conv2d) -> Tensor:
    assert convolution.bias is not None
    return convolution.bias


def identity_kernel(features: int) -> Tensor:
    """Identity as a 3x3 kernel, `(C, C, 3, 3)`."""
    kernel = torch.zeros(features, features, 3, 3)
    kernel[torch.arange(features), torch.arange(features), 1, 1] = 1.0
    return kernel


class Edge(nn.Module):
    """The student in the diagram above.

    Args:
        size: Channels and depth.
        scale: SR/LR side ratio.
        window: Frames fed at once, odd.
        name: Name in the table of networks.
    """

    def __init__(self, size: EdgeSize, *, scale: int = 4, window: int = 5, name: str) -> None:
        super().__init__()
        if window < 3 or window % 2 == 0:
            raise ValueError(f"{window=} must be odd and at least 3")
        self.name, self.size, self.scale, self.window = name, size, scale, window
        self._add_encoder()
        self.fusion = FusionConv(window, size.fused, size.features)
        body = [RepConv(size.features) for _ in range(size.blocks)]
        self.body: nn.ModuleList = nn.ModuleList(body)
        self.tail = nn.Conv2d(size.features, 3 * scale * scale, 3, padding=1)
        with torch.no_grad():
            # The first output is then the upscaled frame: training starts at bilinear, not noise.
            self.tail.weight.mul_(0.1)

    @cached_property
    def spec(self) -> NetworkSpec:
        """Scale, window, halo and taps of the network."""
        return NetworkSpec(
            name=self.name,
            arguments={"scale": self.scale, "window": self.window, **self._own_size()},
            scale=self.scale,
            window=self.window,
            halo=self.size.blocks + (3 if self.size.encoded else 2),
            parameters=parameter_count(self) - sum(map(_training_only, self.body)),
            gmac_per_lr_pixel=gmac_per_lr_pixel(self, window=self.window),
            hr_features=None,
            stages=("fusion", *(f"body.{index}" for index in range(self.size.blocks))),
        )

    def _add_encoder(self) -> None:
        """Add the layer that sees each frame by itself, before all others; there is none here."""

    def _own_size(self) -> dict[str, Argument]:
        """Constructor arguments that the name does not imply."""
        return {} if self.name in NAMED else dict(asdict(self.size))

    def forward(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame.

        Args:
            lr: `(N, T, 3, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        return self._upscale(lr.flatten(1, 2), centre=lr[:, self.window // 2])

    def _upscale(self, stacked: Tensor, *, centre: Tensor) -> Tensor:
        """Fuse the frames, `(N, T * C, H, W)`, and compute SR."""
        x = torch.relu(self.fusion(stacked))
        for block in self.body:
            x = torch.relu(block(x))
        residual = F.pixel_shuffle(self.tail(x), self.scale)
        base = F.interpolate(
            centre, scale_factor=float(self.scale), mode="bilinear", align_corners=False
        )
        return base + residual

    def forward_stacked(self, lr: Tensor) -> Tensor:
        """Upscale the centre frame of a window whose frames are stacked in the channels.

        Args:
            lr: `(N, 3 T, H, W)` float32 RGB in [0, 1].

        Returns:
            `(N, 3, sH, sW)`, not clipped.
        """
        return self._upscale(lr, centre=self._centre_of(lr))

    def _centre_of(self, stacked: Tensor) -> Tensor:
        first = self.window // 2 * 3
        return stacked[:, first : first + 3]

    def adapt_checkpoint(self, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Convert weights with merged branches to the training form."""
        adapted = dict(state)
        for name, module in self.named_modules():
            if isinstance(module, Merged) and f"{name}.weight" in adapted:
                plain = (adapted.pop(f"{name}.{part}").float() for part in ("weight", "bias"))
                adapted |= {
                    f"{name}.{key}": each for key, each in module.weights_of(*plain).items()
                }
        return adapted

    def collapsed(self) -> Edge:
        """Return a copy made of plain convolutions only, equal to rounding."""
        plain = build_edge(self.size, scale=self.scale, window=self.window, name=self.name)
        for name, module in list(plain.named_modules()):
            if isinstance(module, Merged):
                own = self.get_submodule(name)
                plain.set_submodule(name, own.collapsed() if isinstance(own, Merged) else own)
        own_state = self.state_dict()
        shared = plain.state_dict().keys() & own_state.keys()
        plain.load_state_dict({key: own_state[key] for key in shared}, strict=False)
        return plain.to(next(self.parameters()).device).train(self.training)


class EncodedEdge(Edge):
    """The same, each frame encoded by itself first.

    A runtime can keep the features of a frame from window to window, which pays where memory is
    fast and the encoder is wide.

    Args:
        size: Channels and depth; `encoded` at least 1.
        scale: SR/LR side ratio.
        window: Frames fed at once, odd.
        name: Name in the table of networks.
    """

    encoded_frames = 1
    encoder: nn.Conv2d

    def _add_encoder(self) -> None:
        self.encoder = nn.Conv2d(3, self.size.encoded, 3, padding=1)

    def encode(self, frame: Tensor) -> tuple[Tensor]:
        """Encode one frame: `(N, 3, H, W)` to `(N, encoded, H, W)`."""
        return (torch.relu(self.encoder(frame)),)

    def fuse(self, features: tuple[Tensor], centre: Tensor) -> Tensor:
        """Compute SR from a window's features, `(N, T, encoded, H, W)`, and its centre frame."""
        return self._upscale(features[0].flatten(1, 2), centre=centre)

    def forward(self, lr: Tensor) -> Tensor:
        """See `Edge.forward`."""
        batch, window = lr.shape[:2]
        (encoded,) = self.encode(lr.flatten(0, 1))
        encoded = encoded.view(batch, window, *encoded.shape[1:])
        return self.fuse((encoded,), lr[:, window // 2])

    def forward_stacked(self, lr: Tensor) -> Tensor:
        """See `Edge.forward_stacked`."""
        # One convolution with a group for each frame has the weights of T separate ones.
        weight = self.encoder.weight.repeat(self.window, 1, 1, 1)
        bias = _bias_of(self.encoder).repeat(self.window)
        encoded = torch.relu(F.conv2d(lr, weight, bias, padding=1, groups=self.window))
        return self._upscale(encoded, centre=self._centre_of(lr))


def build_edge(size: EdgeSize, *, scale: int = 4, window: int = 5, name: str) -> Edge:
    """Build the network of a size, with an encoder if the size has one."""
    kind = EncodedEdge if size.encoded else Edge
    return kind(size, scale=scale, window=window, name=name)


def _training_only(block: nn.Module) -> int:
    """Number of parameters of a block that collapsing removes."""
    return (
        parameter_count(block) - parameter_count(block.conv3) if isinstance(block, RepConv) else 0
    )


def edge(
    *, encoded: int = 0, features: int = 32, blocks: int = 5, scale: int = 4, window: int = 5
) -> Edge:
    """Build a network of the family; the arguments are those of `EdgeSize`."""
    size = EdgeSize(encoded, features, blocks)
    return build_edge(size, scale=scale, window=window, name="edge")


def edge_s(*, scale: int = 4, window: int = 5) -> Edge:
    """Build the smallest named `edge`: 65k parameters at x4."""
    return Edge(SIZES["s"], scale=scale, window=window, name="edge-s")


def edge_m(*, scale: int = 4, window: int = 5) -> Edge:
    """Build the middle named `edge`: 120k parameters at x4."""
    return Edge(SIZES["m"], scale=scale, window=window, name="edge-m")


def edge_l(*, scale: int = 4, window: int = 5) -> Edge:
    """Build the largest named `edge`: 443k parameters at x4."""
    return Edge(SIZES["l"], scale=scale, window=window, name="edge-l")
