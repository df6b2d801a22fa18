"""The form in which a foreign graph takes and gives frames, and conversion to it with NumPy.

    frames (N, T, 3, H, W) RGB in [0, 1] ─ feed ─ graph ─ read ─ (N, 3, sH, sW) RGB, unclipped

The graphs that vsrc makes of it do the same with ONNX operators (`wrapping`); this is the slow,
obvious version that they are compared with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.errors import SpecError
from vsrc.runtime.picture.bicubic import resize_matrix
from vsrc.runtime.spec import Argument, NetworkSpec

Axes = Literal["image", "window", "stacked"]
ForeignColour = Literal["rgb", "bgr", "y"]
FOREIGN = "onnx:"
"""Prefix of the name of such a network; the rest is the name of its file."""

# ITU-R BT.601, studio swing, in units of 1/255: as `compressor.networks.layers.luma`.
TO_YCBCR = np.array(
    ((65.481, 128.553, 24.966), (-37.797, -74.203, 112.0), (112.0, -93.786, -18.214))
) / np.float64(255)
YCBCR_OFFSET = np.array((16.0, 128.0, 128.0)) / 255


@dataclass(frozen=True)
class ForeignForm:
    """How a foreign graph is fed.

    Attributes:
        axes: `image`, `(N, C, H, W)`; `window`, `(N, T, C, H, W)`; or `stacked`, the frames of a
            window one after the other in the channels, `(N, T C, H, W)`.
        window: Frames fed at once, T.
        peak: Value of white: 1 or 255.
        colour: Order of the channels, or luma alone; chroma is then enlarged bicubically.
        scale: SR/LR side ratio.
        frames_given: Frames in the output: 1, or T, of which the centre is taken.
        output_rank: Number of axes of the output, 4 or 5.
    """

    axes: Axes
    window: int
    peak: int
    colour: ForeignColour
    scale: int
    frames_given: int = 1
    output_rank: int = 4

    @property
    def channels(self) -> int:
        """Channels of a frame, C."""
        return 1 if self.colour == "y" else 3

    @property
    def words(self) -> str:
        """Description for people."""
        frames = {
            "image": "one frame",
            "window": f"{self.window} frames on an axis of their own",
            "stacked": f"{self.window} frames stacked in the channels",
        }[self.axes]
        colour = {"rgb": "RGB", "bgr": "BGR", "y": "luma (Y)"}[self.colour]
        return f"{frames}, {colour} in 0..{self.peak}, x{self.scale}"

    def arguments(self) -> dict[str, Argument]:
        """As arguments of a `NetworkSpec`; window and scale are fields of their own there."""
        return {key: value for key, value in asdict(self).items() if key not in _OWN_FIELDS}

    def feed(self, frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert `(N, T, 3, H, W)` RGB in [0, 1] to the input of the graph."""
        if self.colour == "y":
            frames = to_ycbcr(frames)[:, :, :1]
        if self.colour == "bgr":
            frames = frames[:, :, ::-1]
        if self.axes == "stacked":
            frames = frames.reshape(len(frames), -1, *frames.shape[-2:])
        if self.axes == "image":
            frames = frames[:, 0]
        return np.ascontiguousarray(frames * np.float32(self.peak), dtype=np.float32)

    def read(self, given: NDArray[np.float32], frames: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert the output of the graph, for these frames, to `(N, 3, sH, sW)` RGB, unclipped."""
        each = given.astype(np.float32).reshape(
            len(given), self.frames_given, self.channels, *given.shape[-2:]
        )
        sr = each[:, self.frames_given // 2] / np.float32(self.peak)
        if self.colour == "bgr":
            return sr[:, ::-1]
        if self.colour == "y":
            chroma = to_ycbcr(frames[:, frames.shape[1] // 2])[:, 1:]
            return to_rgb(np.concatenate([sr, enlarge_chroma(chroma, self.scale)], axis=1))
        return sr


_OWN_FIELDS = ("window", "scale")


def form_of(network: NetworkSpec) -> ForeignForm:
    """Read the form of a network from its spec.

    Raises:
        SpecError: The spec has none, or a wrong one.
    """
    chosen: Mapping[str, Argument] = network.arguments
    try:
        form = ForeignForm(window=network.window, scale=network.scale, **chosen)  # type: ignore[arg-type]
    except TypeError as error:
        raise SpecError(f"{network.name} has no valid input format: {error}") from error
    valid = (
        form.axes in get_args(Axes)
        and form.colour in get_args(ForeignColour)
        and form.peak in (1, 255)
        and form.frames_given in (1, form.window)
        and form.output_rank in (4, 5)
    )
    if not valid:
        raise SpecError(f"{network.name} has an unknown input format: {form}")
    return form


def to_ycbcr(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Convert `(..., 3, H, W)` RGB in [0, 1] to YCbCr of BT.601, in units of 1/255."""
    planes = np.einsum("ij,...jhw->...ihw", TO_YCBCR, rgb.astype(np.float64))
    converted: NDArray[np.float32] = (planes + YCBCR_OFFSET[:, None, None]).astype(np.float32)
    return converted


def to_rgb(ycbcr: NDArray[np.float32]) -> NDArray[np.float32]:
    """Inverse of `to_ycbcr`."""
    planes = ycbcr.astype(np.float64) - YCBCR_OFFSET[:, None, None]
    converted = np.einsum("ij,...jhw->...ihw", np.linalg.inv(TO_YCBCR), planes)
    return np.asarray(converted, np.float32)


def enlarge_chroma(chroma: NDArray[np.float32], scale: int) -> NDArray[np.float32]:
    """Upscale `(..., H, W)` with MATLAB's kernel; the border pixel is repeated beyond the frame."""
    if scale == 1:
        return chroma
    pad = 4
    wide = np.pad(chroma, [(0, 0)] * (chroma.ndim - 2) + [(pad, pad)] * 2, mode="edge")
    rows, columns = (
        resize_matrix(side, numerator=scale, denominator=1) for side in wide.shape[-2:]
    )
    large = rows @ wide.astype(np.float64) @ columns.T
    edge = pad * scale
    return np.asarray(large[..., edge:-edge, edge:-edge], np.float32)
