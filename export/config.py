"""Configuration of `vsrc export`."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from vsrc.runtime.spec import GraphIo, GraphLayout, Precision

Size = tuple[int, int]
Format = Literal["onnx", "trt", "trt-rtx"]
AskedPrecision = Literal["fp32", "fp16", "int8", "int8-cpu", "auto"]
FORMATS: tuple[Format, ...] = ("onnx", "trt", "trt-rtx")
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8", "int8-cpu")
EXPORT_MODULES = ("torch", "safetensors", "onnx", "onnxscript", "onnxsim", "onnxruntime")
"""Modules that writing and checking a graph import; checked before it starts."""
FOREIGN_MODULES = ("onnx", "onnxruntime")
"""What a graph that was made from a foreign one needs instead."""
LARGEST_SIDE = 8192
"""Upper bound of H and W of a graph with dynamic shapes, LR pixels."""


@dataclass(frozen=True)
class ExportStep:
    """Progress of an export.

    Attributes:
        words: Current step as text ("building the engine").
        done: Number of finished parts of the step.
        total: Number of parts; 0 if unknown.
    """

    words: str
    done: int = 0
    total: int = 0


ExportProgress = Callable[[ExportStep], None]


@dataclass(frozen=True)
class ExportConfig:
    """Settings of an export.

    Attributes:
        package: Model package to which the output is added.
        format: Output format: ONNX graphs; or an engine of TensorRT (`trt`), for the GPU of this
            machine, or of TensorRT for RTX (`trt-rtx`), for GPUs that need not be present.
        precision: Precision of the graph; `auto` writes and measures all.
        io: Input and output type: `uint8` images, or `float` tensors in [0, 1] (10-bit video).
        layout: Axes of float frames: `window`, `(N, T, 3, H, W)`, or `stacked`, `(N, 3 T, H, W)`;
            `auto` stacks the one frame of an image network. Of no effect for `uint8`.
        shape: Empty for N, H and W dynamic; one `(H, W)` for a fixed graph (N = 1); three for the
            minimum, optimum and maximum size of a dynamic one. LR pixels.
        opset: ONNX operator set; 18 is supported by TensorRT 8.6 to 11.
        overwrite: Whether to replace graphs or engines of the same name.
        halves: Whether to also write the encode and fuse graphs of a network in two parts.
        allow_code: Whether the package may name a network outside the table, whose import runs its
            code.
        calib: Clips for calibration of int8; empty to use the package's ranges.
        int8_with: Precision of the layers that are not int8 in graphs for NVIDIA. fp16 needs opset
            19, so TensorRT 10; `fp32` is for TensorRT 8.6.
        quantizer: Writer of int8 graphs: vsrc, from the ranges of a calibration, or NVIDIA's
            ModelOpt, if installed, from `calib`; ModelOpt writes the whole graph only.
        min_psnr: Minimum PSNR to torch, dB; None for the default of each precision.
        max_loss: Maximum loss of an int8 graph against ground truth, dB, where there is any.
        allow_lossy: Whether to keep a graph that misses these limits, marked as lossy.
        gpus: Compute capabilities that a `trt-rtx` engine is built for ("8.9"); empty for all that
            this version supports except Turing (7.5), where float32 matrix products do not build.
        device: Index of the CUDA device that a `trt` engine is built on and for.
        timing_cache: TensorRT timing cache of a `trt` build, read and updated; None for the one in
            the user's cache folder.
        workspace_mib: Maximum workspace of a `trt` build, MiB; None for a share of free memory.
        video: Whether to also build the engines with which frames stay on the GPU from NVDEC to
            NVENC.
    """

    package: Path
    format: Format = "onnx"
    precision: AskedPrecision = "fp32"
    io: GraphIo = "uint8"
    layout: GraphLayout | Literal["auto"] = "auto"
    shape: tuple[Size, ...] = ()
    opset: int = 18
    overwrite: bool = False
    halves: bool = True
    allow_code: bool = False
    calib: tuple[Path, ...] = ()
    int8_with: Literal["fp16", "fp32"] = "fp16"
    quantizer: Literal["vsrc", "modelopt"] = "vsrc"
    min_psnr: float | None = None
    max_loss: float = 0.1
    allow_lossy: bool = False
    gpus: tuple[str, ...] = ()
    device: int = 0
    timing_cache: Path | None = None
    workspace_mib: int | None = None
    video: bool = False

    def __post_init__(self) -> None:
        if len(self.shape) not in (0, 1, 3):
            raise ValueError(
                f"{len(self.shape)} shapes given: expected one (fixed) or three (min,opt,max)"
            )
        if any(side < 1 or side > LARGEST_SIDE for size in self.shape for side in size):
            raise ValueError(f"shape={self.shape} must lie in 1..{LARGEST_SIDE}")
        if len(self.shape) == 3 and not _is_ascending(self.shape):
            raise ValueError(f"shape={self.shape} must ascend: minimum, optimum, maximum")
        if not 17 <= self.opset <= 20:
            raise ValueError(
                f"opset={self.opset} must lie in 17..20: what TensorRT 8.6 to 11 share"
            )
        if self.layout != "auto" and self.io == "uint8":
            raise ValueError("--layout is for float frames: add --io float")
        if self.quantizer == "modelopt":
            _check_modelopt(self)
        _check_engine(self)

    def layout_of(self, window: int) -> GraphLayout:
        """Axes of the frames of a network with this window."""
        if self.io == "uint8":
            return "window"
        if self.layout == "auto":
            return "stacked" if window == 1 else "window"
        return self.layout


def _check_modelopt(config: ExportConfig) -> None:
    if config.precision != "int8" or config.io != "uint8" or not config.calib:
        raise ValueError(
            "--quantizer modelopt writes --precision int8 with --io uint8 and needs --calib CLIPS"
        )


def _check_engine(config: ExportConfig) -> None:
    if config.format == "onnx":
        if config.video:
            raise ValueError("--video builds engines: add --format trt, or trt-rtx")
        return
    if config.precision in ("auto", "int8-cpu"):
        raise ValueError(
            f"--precision {config.precision} is for ONNX graphs: an engine is fp32, fp16 or int8"
        )
    if not config.shape:
        raise ValueError(
            "an engine is built for given sizes: add --shape HxW for one, or HxW,HxW,HxW for "
            "minimum, optimum and maximum (LR pixels)"
        )


def _is_ascending(shape: tuple[Size, ...]) -> bool:
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
