"""The description of a model package: the contents of `model.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from vsrc.runtime.errors import SpecError, describe_error
from vsrc.runtime.installation import this_installation
from vsrc.runtime.schema import from_json, to_json

SPEC_FILE = "model.json"

SPEC_LIMIT_BYTES = 4 << 20
"""Largest `model.json` that is read, bytes; it usually has a few KB."""

SCHEMA_VERSION = 1
"""Version of `model.json` that is written; older ones are read, newer ones are errors."""

_SHOWN = 40
"""Digits of a wrong number that a message shows."""

LARGEST_SCALE = 16
LARGEST_HALO = 1 << 14
LARGEST_SIDE_PX = 1 << 16
"""Largest H or W that a graph may be said to take, LR pixels."""
LARGEST_LEAST_PX = 1 << 14
"""Largest H or W that every frame may have to be padded to, LR pixels."""
LARGEST_MULTIPLE = 1 << 10
LARGEST_BATCH = 1 << 16
MOST_CHANNELS = 1 << 20

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
        _check_map(f"state {self.name}", channels=self.channels, stride=self.stride)

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
        check_range("scale", self.scale, 1, LARGEST_SCALE)
        check_range("window", self.window, 1, LONGEST_WINDOW)
        check_range("halo", self.halo, 0, LARGEST_HALO)
        check_range("size_multiple", self.size_multiple, 1, LARGEST_MULTIPLE)
        check_range("parameters", self.parameters, 0, 10**13)
        check_range("gmac_per_lr_pixel", self.gmac_per_lr_pixel, 0, 1e9)
        if self.time_scale not in (1, 2):
            raise ValueError(f"time_scale={self.time_scale} must be 1 or 2")
        if self.time_scale == 1 and self.window % 2 == 0 and not self.state:
            raise ValueError(f"window={self.window} must be odd: its centre is the frame upscaled")
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

    def __post_init__(self) -> None:
        check_range("size_bytes", self.size_bytes, 0, 1 << 50)


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

    def __post_init__(self) -> None:
        _check_map(f"feature {self.name}", channels=self.channels, stride=self.stride)


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

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("opset", self.opset, 1, 1000)
        check_range("encoded_frames", self.encoded_frames, 1, LONGEST_WINDOW)
        if self.psnr_db is not None:
            check_range("psnr_db", self.psnr_db, -1000, 1000)
        for name, (low, high), least, most in (
            ("height", self.height, LARGEST_LEAST_PX, LARGEST_SIDE_PX),
            ("width", self.width, LARGEST_LEAST_PX, LARGEST_SIDE_PX),
            ("batch", self.batch, LARGEST_BATCH, LARGEST_BATCH),
        ):
            check_range(f"the smallest {name}", low, 1, least)
            check_range(f"the largest {name}", high, low, most)

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

    def __post_init__(self) -> None:
        check_range("value", self.value, -1e300, 1e300)


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
            frames = graph.encoded_frames
            check_range(f"graphs.{name}.encoded_frames", frames, 1, self.network.window)
            for feature in graph.features:
                if self.network.size_multiple % feature.stride:
                    raise ValueError(
                        f"graphs.{name}: stride={feature.stride} of feature {feature.name} must "
                        f"divide size_multiple={self.network.size_multiple}"
                    )


def check_range(name: str, value: float, low: float, high: float) -> None:
    """Raise if a number lies outside [low, high], or is not a number.

    Raises:
        ValueError: It does.
    """
    if not low <= value <= high:
        raise ValueError(f"{name}={str(value)[:_SHOWN]} must lie in {low}..{high}")


def _check_map(what: str, *, channels: int, stride: int) -> None:
    check_range(f"{what}: channels", channels, 1, MOST_CHANNELS)
    check_range(f"{what}: stride", stride, 1, LARGEST_MULTIPLE)


def spec_to_text(spec: ModelSpec) -> str:
    """Return the text of `model.json`: in field order, indented by two spaces, final newline."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **to_json(spec)}, indent=2) + "\n"


def spec_from_text(text: str, *, where: str) -> ModelSpec:
    """Read and check the text of a `model.json`.

    Raises:
        SpecError: Not JSON, an unknown newer version, or an invalid field.
    """
    try:
        data = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        json.dumps(data, ensure_ascii=False).encode()  # no lone surrogates
    except (ValueError, RecursionError) as error:
        raise SpecError(
            f"{where}: not readable as JSON ({describe_error(error)}); is this a vsrc package?"
        ) from error
    version = data.pop("schema_version", None) if isinstance(data, dict) else None
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise SpecError(f"{where}: no schema_version from 1 on; is this a vsrc package?")
    if version > SCHEMA_VERSION:
        raise SpecError(
            f"{where}: schema version {version} is newer than {SCHEMA_VERSION}, which this vsrc "
            f"reads; {this_installation().newer()}"
        )
    return from_json(ModelSpec, data, where=where)


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build a JSON object; a second value for a key would replace the first without a word."""
    data = dict(pairs)
    if len(data) < len(pairs):
        raise ValueError("a key occurs twice in one object")
    return data


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number of JSON")
