"""`calibration.json`: the ranges of activations inside a network, and how they were obtained.

`vsrc calibrate`, or quantisation-aware training, which learns ranges, writes this file;
`vsrc export --precision int8` reads it. A range is keyed by the module path of its convolution in
the deployed network: the name of its weight without `.weight`. So the same ranges apply to the
whole graph and to its encode and fuse graphs, and stay valid when the network is exported again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from vsrc.calibration.rounding import Rounding, round_keeping_sums
from vsrc.runtime.errors import SpecError
from vsrc.runtime.installation import this_installation
from vsrc.runtime.package import CALIBRATION_FILE, inside, open_package, write_spec
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.schema import from_json, to_json

SCHEMA_VERSION = 1
"""Schema version that this code writes; newer ones are rejected."""
LIMIT_BYTES = 64 << 20
QAT = "qat"
"""Method of packages whose ranges were learnt by quantisation-aware training."""

Range = tuple[float, float]


@dataclass(frozen=True)
class CalibratedClip:
    """A clip from which windows were drawn.

    Attributes:
        name: File or folder name.
        sha256: Hash of the file; for an image sequence, the hash over the hashes of its files.
        frames: Number of frames.
        shots: Number of shots detected.
        windows: Index of the centre frame of each drawn window (of the first frame, for a network
            that also doubles the frame rate), ascending.
    """

    name: str
    sha256: str
    frames: int
    shots: int
    windows: tuple[int, ...]


@dataclass(frozen=True)
class Equalised:
    """Two convolutions in a row whose channels between them are balanced for int8.

    Attributes:
        second: Module path of the second convolution, which reads the output of the first.
        scales: Divisor of each channel between the two.
        input: Range of the second convolution's input after balancing.
        output: Range of the first convolution's output after balancing.
    """

    second: str
    scales: tuple[float, ...]
    input: Range
    output: Range

    def __post_init__(self) -> None:
        if not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError("scales must all be positive and finite")


@dataclass(frozen=True)
class Calibration:
    """The contents of `calibration.json`.

    Attributes:
        method: Method of the ranges: minmax, entropy, percentile, mse, or `qat` (learnt).
        ranges: Convolution -> lowest and highest value of its input that int8 must represent.
        outputs: Convolution -> range of its output, before any activation. ONNX Runtime's integer
            kernels need it.
        float_layers: Convolutions that stay in float.
        required_float_layers: Those of them that the user asked for.
        equalised: Convolution -> how its channels are balanced (`calibration/equalise.py`). The
            ranges above are those without balancing.
        options: Settings of the method.
        weights_sha256: Hash of the calibrated weights.
        seed: Seed of the draw.
        windows: Number of windows fed.
        tile: Largest part of a frame that was fed, `(H, W)`, LR pixels.
        clips: Clips from which the windows were drawn.
        psnr_db: PSNR of int8 outputs against fp32 outputs, on windows of the draw.
        min_psnr_db: PSNR for which `float_layers` were chosen.
        notes: Warnings for the user.
        versions: Package -> version.
    """

    method: str
    ranges: dict[str, Range]
    outputs: dict[str, Range] = field(default_factory=dict)
    float_layers: tuple[str, ...] = ()
    required_float_layers: tuple[str, ...] = ()
    equalised: dict[str, Equalised] = field(default_factory=dict)
    options: dict[str, float] = field(default_factory=dict)
    weights_sha256: str | None = None
    seed: int = 0
    windows: int = 0
    tile: tuple[int, int] = (0, 0)
    clips: tuple[CalibratedClip, ...] = ()
    psnr_db: float | None = None
    min_psnr_db: float | None = None
    notes: tuple[str, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, known in (("ranges", self.ranges), ("outputs", self.outputs)):
            for key, (low, high) in known.items():
                if not (math.isfinite(low) and math.isfinite(high) and low <= high):
                    raise ValueError(f"{kind}.{key} is [{low}, {high}], not a finite range")

    def ranges_with(self, applied: Collection[str]) -> tuple[dict[str, Range], dict[str, Range]]:
        """Ranges and outputs of a graph in which these convolutions of `equalised` are balanced."""
        ranges, outputs = dict(self.ranges), dict(self.outputs)
        for first in applied:
            chosen = self.equalised[first]
            ranges[chosen.second], outputs[first] = chosen.input, chosen.output
        return ranges, outputs

    @property
    def is_learnt(self) -> bool:
        """Whether the ranges come from quantisation-aware training and must not be changed."""
        return self.method == QAT

    @property
    def fixed_float_layers(self) -> tuple[str, ...]:
        """Those of `float_layers` that stay in float whatever is measured at export."""
        return self.float_layers if self.is_learnt else self.required_float_layers

    @property
    def rounding(self) -> Rounding:
        """How weights are rounded to int8: as in training, if the ranges were learnt there."""
        return np.rint if self.is_learnt else round_keeping_sums


def read_calibration(package: Path) -> Calibration | None:
    """Read the calibration of a package; None if it was never calibrated.

    Unknown keys are ignored: training may store more than is needed here.

    Raises:
        SpecError: The file is damaged, or of a newer schema.
    """
    path = inside(package, CALIBRATION_FILE)
    if not path.is_file():
        return None
    if path.stat().st_size > LIMIT_BYTES:
        raise SpecError(f"{path} has {path.stat().st_size} bytes; the limit is {LIMIT_BYTES}")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is not readable as JSON ({error}); calibrate again") from error
    if not isinstance(data, dict):
        raise SpecError(f"{path} is not a JSON object; calibrate again")
    version = data.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise SpecError(
            f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, which this vsrc "
            f"reads; {this_installation().newer()}"
        )
    known = {key: value for key, value in data.items() if key in Calibration.__dataclass_fields__}
    return from_json(Calibration, known, where=str(path))


def replace_calibration(package: Path, calibration: Calibration) -> tuple[str, ...]:
    """Write another calibration to a package, and mark its int8 graphs as stale if it differs.

    Graphs are marked first: were this interrupted, none would be taken for one of the new ranges.

    Returns:
        Names of the graphs that are stale now.
    """
    spec = open_package(package).spec
    if read_calibration(package) != calibration:
        graphs = {
            name: replace(graph, stale=graph.stale or graph.precision in ("int8", "int8-cpu"))
            for name, graph in spec.graphs.items()
        }
        if graphs != spec.graphs:
            spec = replace(spec, graphs=graphs)
            write_spec(package, spec)
    write_calibration(package, calibration)
    return tuple(name for name, graph in spec.graphs.items() if graph.stale)


def write_calibration(package: Path, calibration: Calibration) -> Path:
    """Write the calibration file of a package atomically.

    Unknown keys of an existing file are kept.
    """
    path = inside(package, CALIBRATION_FILE)
    kept = {}
    if path.is_file() and calibration.is_learnt:
        there = json.loads(path.read_text(encoding="utf-8"))
        kept = {k: v for k, v in there.items() if k not in Calibration.__dataclass_fields__}
    data = {"schema_version": SCHEMA_VERSION, **kept, **to_json(calibration)}
    write_file(path, json.dumps(data, indent=2) + "\n")
    return path
