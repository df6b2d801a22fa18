"""What a model package says of itself: the contents of `model.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Literal

from vsrc.runtime.errors import SpecError
from vsrc.runtime.installation import this_installation
from vsrc.runtime.schema import from_json, to_json

SCHEMA_VERSION = 1
"""Version of `model.json` that this code writes; older ones are read, newer ones refused."""

LONGEST_WINDOW = 64
"""Frames: a reader that winds to the middle of a file begins so many before."""

Precision = Literal["fp32", "fp16", "int8", "int8-cpu"]
GraphIo = Literal["uint8", "float"]
GraphRole = Literal["whole", "encode", "fuse"]
Degradation = Literal["bi", "bd", "real", "none"]
Argument = bool | int | float | str


@dataclass(frozen=True)
class NetworkSpec:
    """What the outside must know to feed a network.

    Attributes:
        name: Name in the table of networks, or `module:function`.
        arguments: Constructor arguments, so that `create(name, **arguments)` makes it again.
        scale: Integer SR/LR side ratio.
        window: Frames fed at once; 1 for an image network.
        halo: Receptive field on one side, LR pixels (how much context a tile needs).
        halo_is_exact: Nothing beyond the halo has any part in a pixel. False where something is
            pooled over the whole picture (channel attention), or reaches as far as the content asks
            (offsets, flow): what is fed in tiles then comes close to the whole, and no more.
        parameters: Number of weights as they are deployed.
        gmac_per_lr_pixel: Multiply-accumulates (in 1e9) for one output frame, divided by H * W.
        size_multiple: H and W must be multiples of this; callers pad by reflection and crop.
        time_scale: 2 when the network also doubles the frame rate.
        colour: `rgb`, or `y` for networks that see luma only.
        hr_features: Module path whose output is F^SR (STD, section 3): the feature at output
            resolution right before the last convolution; None where there is none.
        stages: Module paths of features in order of depth, for objectives that compare stages.
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

    def __post_init__(self) -> None:
        if not 1 <= self.scale <= 16:
            raise ValueError(f"scale={self.scale} must lie in 1..16")
        if not 1 <= self.window <= LONGEST_WINDOW:
            raise ValueError(f"window={self.window} must lie in 1..{LONGEST_WINDOW}")
        if self.time_scale not in (1, 2):
            raise ValueError(f"time_scale={self.time_scale} must be 1 or 2")
        if self.time_scale == 1 and self.window % 2 == 0:
            raise ValueError(f"window={self.window} must be odd: its centre is the frame restored")
        if self.halo < 0 or self.size_multiple < 1:
            raise ValueError(
                f"halo={self.halo} must not be negative, size_multiple={self.size_multiple} not < 1"
            )

    @property
    def radius(self) -> int:
        """Frames before and after the centre of the window."""
        return self.window // 2


@dataclass(frozen=True)
class FileSpec:
    """One file of the package.

    Attributes:
        file: Path relative to the package, with forward slashes.
        sha256: Hash of its bytes, hex.
        size_bytes: Its length, so that a swollen file is refused before it is read.
    """

    file: str
    sha256: str
    size_bytes: int


@dataclass(frozen=True)
class FeatureSpec:
    """One feature map that an encode graph gives and its fuse graph takes.

    Attributes:
        name: Of the output of one and the input of the other.
        channels: C.
        stride: LR pixels from one value to the next: 2 for a map half as large as the frame.
    """

    name: str
    channels: int
    stride: int


@dataclass(frozen=True)
class GraphSpec(FileSpec):
    """One ONNX graph of the package.

        role      inputs                                             outputs
        whole     lr                                                 sr
        encode    lr, one frame or a run of F                        features (N, C, h, w) float
        fuse      features (N, T - F + 1, C, h, w) float, centre     sr

    Attributes:
        precision: What the arithmetic inside is.
        io: uint8 pictures `(N, T, H, W, 3)`, or float `(N, T, 3, H, W)` in [0, 1]. A single frame
            (`lr` of an encode graph where F = 1, and `centre`) has no axis T.
        opset: ONNX operator set.
        height: Smallest and largest H it takes, LR pixels; equal when fixed.
        width: The same for W.
        batch: The same for N.
        role: The whole network, or one of the two halves that give the same together, where the
            features of a frame serve every window that it is in.
        encoded_frames: F, consecutive frames that one set of features is found from.
        features: The maps of one set.
        psnr_db: Agreement with torch in float32 before rounding, at the worst of the sizes that
            were tried; None where nothing differed, or nobody measured.
        lossy: It missed the limit for that, and was kept because the user asked for it.
    """

    precision: Precision
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


@dataclass(frozen=True)
class Quality:
    """One measured number: `metric` on `data`, taken as `protocol` says."""

    data: str
    metric: str
    protocol: str
    value: float


@dataclass(frozen=True)
class Provenance:
    """Where the weights come from.

    Attributes:
        teacher: Name of the teacher, or None for a network taught by ground truth alone.
        teacher_sha256: Hash of its weights file.
        objective: Name and weights of the objective, as in the recipe.
        data: Data folders as they were named.
        data_sha256: Hash over the sorted list of (file hash, frames).
        frames: Frames taught from.
        steps: Optimiser steps.
        seed: Seed of the run.
        recipe: Every field of the run's configuration, as text.
        command: Command line that made it.
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
    """The whole of `model.json`.

    Attributes:
        network: How to make and feed the network.
        weights: The safetensors file.
        degradation: How the LR pictures it was taught on were made.
        graphs: Name (`fp32`, `fp16`, `int8`, `int8-cpu`, `encode-fp32`, ...) -> graph file.
        provenance: Where the weights come from.
        quality: What was measured, best protocol first.
    """

    network: NetworkSpec
    weights: FileSpec
    degradation: Degradation
    graphs: dict[str, GraphSpec] = field(default_factory=dict)
    provenance: Provenance = field(default_factory=Provenance)
    quality: tuple[Quality, ...] = ()


def spec_to_text(spec: ModelSpec) -> str:
    """The text of `model.json`: sorted by the order of the fields, two spaces, final newline."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **to_json(spec)}, indent=2) + "\n"


def spec_from_text(text: str, *, where: str) -> ModelSpec:
    """Read and check the text of a `model.json`.

    Raises:
        SpecError: Not JSON, an unknown newer version, or any field that is not what it must be.
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
