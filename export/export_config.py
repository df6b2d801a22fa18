"""What `vsrc export` can be asked for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsrc.runtime.spec import GraphIo

Size = tuple[int, int]
LARGEST_SIDE = 8192
"""Upper bound of H and W of a graph with dynamic shapes, LR pixels."""


@dataclass(frozen=True)
class ExportConfig:
    """One export.

    Attributes:
        package: The model package; the graphs are added to it.
        format: What to write.
        precision: Arithmetic inside the graph.
        io: `uint8` pictures in and out, or `float` tensors in [0, 1] (10-bit video).
        shape: Empty for N, H and W dynamic; one `(H, W)` for a fixed graph (N = 1); three for the
            least, usual and largest size of a dynamic one. LR pixels.
        opset: ONNX operator set; 18 is what TensorRT 8.6 to 11 share.
        overwrite: Replace graphs of the same name.
        halves: Also write the two halves of a network that encodes frames by themselves.
        allow_code: The network that the package names may be one outside the table: importing it
            runs the code it lies in.
    """

    package: Path
    format: Literal["onnx"] = "onnx"
    precision: Literal["fp32"] = "fp32"
    io: GraphIo = "uint8"
    shape: tuple[Size, ...] = ()
    opset: int = 18
    overwrite: bool = False
    halves: bool = True
    allow_code: bool = False

    def __post_init__(self) -> None:
        if len(self.shape) not in (0, 1, 3):
            raise ValueError(
                f"{len(self.shape)} shapes given: one (fixed) or three (least,usual,largest)"
            )
        if any(side < 1 or side > LARGEST_SIDE for size in self.shape for side in size):
            raise ValueError(f"{self.shape=} must lie in 1..{LARGEST_SIDE}")
        if len(self.shape) == 3 and not _ascending(self.shape):
            raise ValueError(f"{self.shape=} must ascend: least, usual, largest")
        if not 17 <= self.opset <= 20:
            raise ValueError(f"{self.opset=} must lie in 17..20: what TensorRT 8.6 to 11 share")


def _ascending(shape: tuple[Size, ...]) -> bool:
    return all(
        low[side] <= high[side] for low, high in itertools.pairwise(shape) for side in (0, 1)
    )


def parse_shape(text: str) -> tuple[Size, ...]:
    """`"180x320"` or `"90x160,180x320,360x640"` (height x width) as pairs.

    Raises:
        ValueError: Not of that form.
    """
    sizes = []
    for part in text.lower().split(","):
        height, cross, width = part.strip().partition("x")
        if not (cross and height.isdigit() and width.isdigit()):
            raise ValueError(f"shape {text!r} is not HxW or HxW,HxW,HxW (LR pixels), as in 180x320")
        sizes.append((int(height), int(width)))
    return tuple(sizes)
