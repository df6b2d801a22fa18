"""The description of a model package: the contents of `model.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from vsrc.runtime.errors import SpecError
from vsrc.runtime.installation import this_installation
from vsrc.runtime.schema import from_json, to_json

SPEC_FILE = "model.json"

SPEC_LIMIT_BYTES = 4 << 20
"""Largest `model.json` that is read, bytes; it usually has a few KB."""

SCHEMA_VERSION = 1
"""Version of `model.json` that is written; older ones are read, newer ones are errors."""

LONGEST_WINDOW = 64
"""Largest window, frames: a reader that seeks starts so many frames before the position."""

Precision = Literal["fp32", "fp16", "int8", "int8-cpu"]
RunPrecision = Literal["fp32", "fp16", "int8", "int8-cpu", "bf16"]
"""Precision of a graph as it is run: no file is in bf16, but OpenVINO may run fp32 so."""

GraphIo = Literal["uint8", "float"]
GraphLayout = Literal["window", "stacked"]
GraphRole = Literal["whole", "encode", "fuse"]
Degradation = Literal["bi", "bd", "real", "none"]
Argument = bool | int | float | str


@dataclass(frozen=True)
class StateSpec:
    """A feature map that a network carries from frame to frame; zero at the start of each shot.

    Attributes:
        name: Name of the graph's input; the output has the prefix `next_`.
        channels: Number of channels, C; the map is `(N, C, H / stride, W / stride)`.
        stride: LR pixels between values: 2 for a map of half the frame's size.
    """

    name: str
    channels: int
    stride: int = 1

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name in ("lr", "sr"):
            raise ValueError(f"state name {self.name!r} must be an identifier, not lr or sr")
        if self.channels < 1 or self.stride < 1:
            raise ValueError(
                f"state {self.name}: channels={self.channels} and stride={self.stride} must be at "
                "least 1"
            )

    @property
    def next_name(self) -> str:
        """Name of the graph's output, which is the input at the next frame."""
        return f"next_{self.name}"

    def shape(self, height: int, width: int, *, count: int = 1) -> tuple[int, int, int, int]:
        """Shape `(count, C, h, w)` of the map for frames of `height` x `width` LR pixels."""
        return count, self.channels, height // self.stride, width // self.stride


@dataclass(frozen=True)
class NetworkSpec:
    """Properties of a network that its callers need.

    Attributes:
        name: Name in the table of networks, or `module:function`.
        arguments: Constructor arguments; `create(name, **arguments)` recreates the network.
        scale: Integer SR/LR side ratio.
        window: Number of frames fed at once; 1 for an image network. The frame upscaled is number
            `window // 2` of them: of an even window, the one after the middle.
        halo: Receptive field on one side, LR pixels (how much context a tile needs).
        halo_is_exact: Whether no pixel depends on anything beyond the halo. False with pooling
            over the whole frame (channel attention) or content-dependent reach (offsets, flow):
            tiles then only approximate the result of the whole frame.
        parameters: Number of weights as deployed.
        gmac_per_lr_pixel: Multiply-accumulates (in 1e9) for one output frame, divided by H * W.
        size_multiple: Divisor of H and W; callers pad by reflection and crop.
        time_scale: Frame rate ratio of output to input: 2 for networks that double it, else 1.
        colour: Input colour: `rgb`, or `y` for networks on luma only.
        hr_features: Module path whose output is F^SR (STD, section 3): the feature at output
            resolution right before the last convolution; None where there is none.
        stages: Module paths of features in order of depth, for objectives that compare stages.
        state: Feature maps carried from frame to frame. `halo` is then the reach of one step, for
            the frame and for the next state alike.
    """

    name: str
    arguments: dict[str, Argument]
    scale: int
    window: int
    halo: int
    parameters: int
    gmac_per_lr_pixel: float
    size_multiple: int = 1
    halo_is_exact: bool = True
    time_scale: int = 1
    colour: Literal["rgb", "y"] = "rgb"
    hr_features: str | None = None
    stages: tuple[str, ...] = ()
    state: tuple[StateSpec, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= 16:
            raise ValueError(f"scale={self.scale} must lie in 1..16")
        if not 1 <= self.window <= LONGEST_WINDOW:
            raise ValueError(f"window={self.window} must lie in 1..{LONGEST_WINDOW}")
        if self.time_scale not in (1, 2):
            raise ValueError(f"time_scale={self.time_scale} must be 1 or 2")
        if self.time_scale == 1 and self.window % 2 == 0 and not self.state:
            raise ValueError(f"window={self.window} must be odd: its centre is the frame upscaled")
        if self.halo < 0 or self.size_multiple < 1:
            raise ValueError(
                f"halo={self.halo} must not be negative, size_multiple={self.size_multiple} not < 1"
            )
        if self.state:
            self._check_state()

    @property
    def radius(self) -> int:
        """Number of frames of the window before the one that is upscaled."""
        return self.window // 2

    @property
    def lookahead(self) -> int:
        """Number of frames of the window after the one that is upscaled."""
        return self.window - 1 - self.radius

    def _check_state(self) -> None:
        names = [name for state in self.state for name in (state.name, state.next_name)]
        if len(set(names)) < len(names):
            raise ValueError(f"the names of the state must differ: {', '.join(names)}")
        if self.time_scale != 1:
            raise ValueError(f"a network with a state has time_scale=1, not {self.time_scale}")
        for state in self.state:
            if self.size_multiple % state.stride:
                raise ValueError(
                    f"state {state.name}: stride={state.stride} must divide "
                    f"size_multiple={self.size_multiple}"
                )


@dataclass(frozen=True)
class FileSpec:
    """One file of the package.

    Attributes:
        file: Path relative to the package, with forward slashes.
        sha256: Hash of its bytes, hex.
        size_bytes: Size of the file, so that a larger one is rejected before it is read.
    """

    file: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class FeatureSpec:
    """A feature map that is an output of the encode graph and an input of the fuse graph.

    Attributes:
        name: Name of the graph output and input.
        channels: Number of channels, C.
        stride: LR pixels between values: 2 for a map of half the frame's size.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class GraphSpec(FileSpec):
    """One ONNX graph of the package.

        role      inputs                                             outputs
        whole     lr, and each state (N, C, h, w) float              sr, and each next_ state
        encode    lr, one frame or a run of F                        features (N, C, h, w) float
        fuse      features (N, T - F + 1, C, h, w) float, centre     sr

    Attributes:
        precision: Precision of the arithmetic. `bf16` in sessions alone: their file is in fp32.
        io: Input and output type: uint8 `(N, T, H, W, 3)`, or float in [0, 1] as `layout` says. A
            single frame (`lr` of an encode graph where F = 1, and `centre`) has no axis T.
        layout: Axes of float frames: `window`, `(N, T, 3, H, W)`, or `stacked`, the frames one
            after the other in the channels, `(N, 3 T, H, W)`: `(N, 3, H, W)` of an image network.
        opset: ONNX operator set version.
        height: Smallest and largest H, LR pixels; equal if fixed.
        width: Smallest and largest W, LR pixels; equal if fixed.
        batch: Smallest and largest N; equal if fixed.
        role: Whole network, or one of the two graphs that together compute the same, so that the
            features of a frame are reused by every window that contains it.
        encoded_frames: Number of consecutive frames, F, that one set of features is computed from.
        features: Feature maps of one set.
        psnr_db: PSNR against torch in float32 before rounding, dB, at the worst of the tested
            sizes; None if equal, or not measured.
        lossy: Whether it misses the limit of that PSNR, or of the loss against ground truth, and
            was kept at the user's request.
        int8_share: Fraction of the multiply-accumulates that are int8, 0..1; None for float
            graphs, and where it was not counted.
        stale: Whether the package was calibrated anew after an int8 graph was written; such a
            graph is not run.
    """

    precision: RunPrecision
    io: GraphIo
    opset: int
    height: tuple[int, int]
    width: tuple[int, int]
    batch: tuple[int, int] = (1, 1)
    role: GraphRole = "whole"
    encoded_frames: int = 1
    features: tuple[FeatureSpec, ...] = ()
    psnr_db: float | None = None
    lossy: bool = False
    layout: GraphLayout = "window"
    int8_share: float | None = None
    stale: bool = False

    @property
    def is_run_by_choice(self) -> bool:
        """Whether `auto` may take it: it kept within its limits and is up to date."""
        return not (self.lossy or self.stale)

    @property
    def file_precision(self) -> Precision:
        """Precision of the file, whatever it is run in."""
        return "fp32" if self.precision == "bf16" else self.precision


@dataclass(frozen=True)
class Quality:
    """One measured number: `metric` on `data`, according to `protocol`."""

    data: str
    metric: str
    protocol: str
    value: float


@dataclass(frozen=True)
class Provenance:
    """Where the weights come from.

    Attributes:
        teacher: Name of the teacher, or None for a network trained on ground truth alone.
        teacher_sha256: Hash of its weights file.
        objective: Name and weights of the objective, as in the recipe.
        data: Data folders as given by the user.
        data_sha256: Hash over the sorted list of (file hash, frames).
        frames: Number of training frames.
        steps: Number of optimiser steps.
        seed: Seed of the run.
        recipe: Every field of the run's configuration, as text.
        command: Command line of the run.
        versions: Package -> version.
        licence: Licence of the weights, SPDX where there is one.
    """

    teacher: str | None = None
    teacher_sha256: str | None = None
    objective: str = "none"
    data: tuple[str, ...] = ()
    data_sha256: str | None = None
    frames: int = 0
    steps: int = 0
    seed: int = 0
    recipe: dict[str, str] = field(default_factory=dict)
    command: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    licence: str = "unstated"


@dataclass(frozen=True)
class ModelSpec:
    """The contents of `model.json`.

    Attributes:
        network: Properties of the network.
        weights: Safetensors file.
        degradation: Degradation of the LR frames that it was trained on.
        graphs: Name (`fp32`, `fp16`, `int8`, `int8-cpu`, `encode-fp32`, ...) -> graph file.
        provenance: Origin of the weights.
        quality: Measurements, best protocol first.
    """

    network: NetworkSpec
    weights: FileSpec
    degradation: Degradation
    graphs: dict[str, GraphSpec] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    quality: tuple[Quality, ...] = ()

    def __post_init__(self) -> None:
        for name, graph in self.graphs.items():
            if graph.precision == "bf16":
                raise ValueError(f"graph {name}: precision='bf16' must be that of the file: fp32")


def spec_to_text(spec: ModelSpec) -> str:
    """Return the text of `model.json`: in field order, indented by two spaces, final newline."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **to_json(spec)}, indent=2) + "\n"


def spec_from_text(text: str, *, where: str) -> ModelSpec:
    """Read and check the text of a `model.json`.

    Raises:
        SpecError: Not JSON, an unknown newer version, or an invalid field.
    """
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"{where}: not readable as JSON ({error}); is this a vsrc package?"
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("schema_version"), int):
        raise SpecError(f"{where}: no schema_version; is this a vsrc package?")
    version = data.pop("schema_version")
    if version > SCHEMA_VERSION:
        raise SpecError(
            f"{where}: schema version {version} is newer than {SCHEMA_VERSION}, which this vsrc "
            f"reads; {this_installation().newer()}"
        )
    return from_json(ModelSpec, data, where=where)
