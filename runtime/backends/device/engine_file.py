"""A built engine and its sidecar, which describes the target.

    engines/<key>.engine   raw, as trtexec loads it
    engines/<key>.json     EngineSpec
    engines/<key>.layers   what TensorRT's inspector says about the layers, JSON as it gives it

The key is a hash of everything that the engine depends on. When any of it changes (another GPU, an
update of TensorRT, a graph that was exported again), the key changes, and the engine with the old
key is not used.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.hashing import file_sha256
from vsrc.runtime.package import advised_export
from vsrc.runtime.schema import from_json, to_json
from vsrc.runtime.spec import GraphIo, GraphRole, Precision

SCHEMA_VERSION = 1
_HARDWARE = {
    "multiprocessors": "number of SMs",
    "board": "board",
    "memory_gb": "memory (GiB)",
}
"""Fields of a target that tell chips of one name apart -> words for them."""
_LIMIT_BYTES = 4 << 20

EngineBackend = Literal["trt", "trt-rtx"]
PrecisionEvidence = Literal["layers", "graph", "none"]
"""What proves the precision of an engine: its layers as the inspector describes them; the types in
the graph, which a strongly typed build must keep; or nothing, as the builder could choose."""
EngineRole = GraphRole | Literal["video"]
"""Part of a network, or a graph that converts or checks frames on the device."""
ProfileShapes = dict[str, tuple[tuple[int, ...], ...]]
"""Input -> its shape; minimum, usual and maximum shape if it is dynamic."""


@dataclass(frozen=True)
class EngineTarget:
    """Everything that an engine depends on.

    Attributes:
        backend: `trt` (one GPU model) or `trt-rtx` (all GPUs of some compute capabilities).
        version: Version of TensorRT, or of TensorRT for RTX.
        gpu: Name of the GPU; None for `trt-rtx`.
        compute_capabilities: Compute capabilities ("8.9"), sorted.
        graph: Name of the graph in the package.
        graph_sha256: Hash of the graph's file.
        precision: Precision of the graph.
        io: Type of the graph's inputs and outputs, uint8 or float.
        shapes: Shapes of the inputs.
        multiprocessors: Number of SMs that are present ("Orin" is two chips); None for `trt-rtx`,
            and for engines of versions of vsrc that did not tell, as the next two.
        board: Model of the board; empty for a PC.
        memory_gb: Device memory, GiB, rounded.
    """

    backend: EngineBackend
    version: str
    gpu: str | None
    compute_capabilities: tuple[str, ...]
    graph: str
    graph_sha256: str
    precision: Precision
    io: GraphIo
    shapes: ProfileShapes
    multiprocessors: int | None = None
    board: str | None = None
    memory_gb: int | None = None

    @property
    def key(self) -> str:
        """Unique readable name, such as `trt-rtx-fp16-0123456789abcdef`."""
        # Engines that have none of the hardware's fields keep the key that they had before these.
        fields = {
            name: value
            for name, value in to_json(self).items()
            if value is not None or name not in _HARDWARE
        }
        text = json.dumps(fields, sort_keys=True, separators=(",", ":"))
        return f"{self.backend}-{self.graph}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"


@dataclass(frozen=True)
class ComparedPictures:
    """Pictures of an engine compared with those of the same graph on ONNX Runtime's CPU provider.

    Attributes:
        height: Height of the LR frames, pixels.
        width: Width of the LR frames, pixels.
        frames: Number of frames.
        psnr_db: PSNR of the 8-bit pictures to each other, RGB, dB; None if they are equal.
        largest_difference: Largest difference, of 255.
    """

    height: int
    width: int
    frames: int
    psnr_db: float | None
    largest_difference: int


@dataclass(frozen=True)
class EngineSpec:
    """Contents of the sidecar.

    Attributes:
        key: `EngineTarget.key`, the name of the file.
        target: Target that it was built for.
        role: Whether it is the whole network, its encode or fuse graph, or one that converts or
            checks frames on the device (`video_engines`).
        sha256: Hash of the engine's file.
        size_bytes: Size of that file.
        strongly_typed: Whether the network was built as strongly typed.
        layers: Precision ("fp16") -> number of convolutions that run in it, according to the engine
            inspector, "unknown" for those that it does not tell; empty if there was no GPU at build
            time.
        asked_layers: Precision -> number of convolutions that have it in the parsed network.
        lossy: Whether the graph is marked as lossy.
        build_seconds: Duration of the build.
        precision_from: What proves the precision; `none` is "precision not told".
        compared: Comparison of its pictures at each size, or of those of the encode and fuse
            engines together.
        not_compared: Why they were not compared; empty if they were.
        notes: What else is to be known about the build, such as the error of a first attempt.
    """

    key: str
    target: EngineTarget
    role: EngineRole
    sha256: str
    size_bytes: int
    strongly_typed: bool = True
    layers: dict[str, int] = field(default_factory=dict)
    asked_layers: dict[str, int] = field(default_factory=dict)
    lossy: bool = False
    build_seconds: float = 0.0
    precision_from: PrecisionEvidence = "graph"
    compared: tuple[ComparedPictures, ...] = ()
    not_compared: str = ""
    notes: tuple[str, ...] = ()


def engine_text(spec: EngineSpec) -> str:
    """Format a sidecar as JSON."""
    return json.dumps({"schema_version": SCHEMA_VERSION, **to_json(spec)}, indent=2) + "\n"


def read_engine_spec(engine: Path) -> EngineSpec:
    """Read the sidecar of an engine.

    Raises:
        SpecError: It is missing, damaged, or of a newer version.
    """
    path = engine.with_suffix(".json")
    if not path.is_file():
        raise SpecError(
            f"{path} is missing: GPU and TensorRT of {engine.name} are unknown; remove the engine, "
            "or build it again with vsrc export --overwrite"
        )
    if path.stat().st_size > _LIMIT_BYTES:
        raise SpecError(f"{path} is larger than any sidecar; build the engine again")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise SpecError(f"{path} is not readable as JSON ({error}); build it again") from error
    if not isinstance(data, dict) or data.pop("schema_version", None) != SCHEMA_VERSION:
        raise SpecError(f"{path} is not a sidecar of this version of vsrc; build the engine again")
    return from_json(EngineSpec, data, where=str(path))


def check_engine(engine: Path, *, here: EngineTarget | None = None) -> EngineSpec:
    """Check an engine's integrity and, optionally, its target; return its sidecar.

    Args:
        engine: Path of the engine.
        here: Target of an engine built on this machine; None to skip this check.

    Raises:
        SpecError: The engine is missing, truncated or changed.
        MismatchError: It was built for another GPU, version of TensorRT, graph or shape.
    """
    if not engine.is_file():
        raise SpecError(f"{engine} does not exist; vsrc export --format trt builds engines")
    spec = read_engine_spec(engine)
    size = engine.stat().st_size
    if size != spec.size_bytes:
        raise SpecError(
            f"{engine} has {size} bytes, its sidecar says {spec.size_bytes}: it is truncated or "
            f"was changed; build it again: {_export_of(engine, spec.target)} --overwrite"
        )
    if file_sha256(engine) != spec.sha256:
        raise SpecError(
            f"{engine} is not the engine that its sidecar describes (sha256 differs); build it "
            f"again: {_export_of(engine, spec.target)} --overwrite"
        )
    if here is not None:
        check_fits(engine, spec.target, here)
    return spec


def check_fits(engine: Path, built: EngineTarget, here: EngineTarget) -> None:
    """Check that an engine that was built for one target may run on another.

    Raises:
        MismatchError: They differ in what matters; names the first difference.
    """
    for entry in dataclasses.fields(EngineTarget):
        there, now = getattr(built, entry.name), getattr(here, entry.name)
        if entry.name == "compute_capabilities" and set(now) <= set(there):
            continue
        if there is None and now is not None and entry.name in _HARDWARE:
            raise MismatchError(
                f"{engine} was built by an older vsrc, whose engines do not record "
                f"{', '.join(_HARDWARE.values())}; build it again: {_export_of(engine, here)}"
            )
        if there != now:
            raise MismatchError(
                f"{engine} was built for another {_words(entry.name)}: "
                f"{_format_value(there)}, and here it is {_format_value(now)}; build it here: "
                + _export_of(engine, here)
            )


def _export_of(engine: Path, target: EngineTarget) -> str:
    """Command that builds an engine of a target in the package that an engine lies in."""
    lr = target.shapes.get("lr", ())
    row = -3 if target.io == "uint8" else -2
    sizes = ",".join(f"{shape[row]}x{shape[row + 1]}" for shape in lr) or "HxW"
    options = f"--format {target.backend} --precision {target.precision} --shape {sizes}"
    if engine.parent.name != "engines":
        return f"vsrc export MODEL {options}"
    return advised_export(engine.parent.parent, options)


def _words(name: str) -> str:
    return _HARDWARE.get(name, name.replace("_", " "))


def _format_value(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, dict):
        return json.dumps(to_json(value))
    return str(value)
