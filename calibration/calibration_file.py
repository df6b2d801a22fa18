"""`calibration.json`: what is known of the ranges inside a network, and where it is known from.

Whoever finds ranges writes this file (`vsrc calibrate`, or quantisation-aware training, which
learns them), and `vsrc export --precision int8` reads it. A range belongs to a convolution, by its
module path in the deployed network: the name of its weight without `.weight`. So the same ranges
serve the whole graph and its halves, and survive another export.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from vsrc.runtime.errors import SpecError
from vsrc.runtime.installation import this_installation
from vsrc.runtime.package import inside
from vsrc.runtime.pending_file import write_file
from vsrc.runtime.schema import from_json, to_json

CALIBRATION_FILE = "calibration.json"
SCHEMA_VERSION = 1
"""Version that this code writes; newer ones are refused."""
LIMIT_BYTES = 64 << 20
QAT = "qat"
"""Method of packages whose ranges were learnt by quantisation-aware training."""

Range = tuple[float, float]


@dataclass(frozen=True)
class CalibratedClip:
    """One clip that windows were drawn from.

    Attributes:
        name: As it was found.
        sha256: Of the file; of pictures the hash over their hashes.
        frames: How many it has.
        shots: How many shots were found in it.
        windows: Frames that the drawn windows are centred on (of a network that also doubles the
            frame rate: that they begin with), ascending.
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
        second: The one that reads what this belongs to.
        scales: What each channel is divided by.
        input: Range of the input of the second, once that is done.
        output: Range of the output of the first.
    """

    second: str
    scales: tuple[float, ...]
    input: Range
    output: Range

    def __post_init__(self) -> None:
        if not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError("scales must be positive and finite")


@dataclass(frozen=True)
class Calibration:
    """The contents of `calibration.json`.

    Attributes:
        method: How ranges were found: minmax, entropy, percentile, mse, or `qat` (learnt).
        ranges: Convolution -> lowest and highest value of its input that int8 shall hold.
        outputs: Convolution -> the same for what it gives, before any activation. ONNX Runtime's
            integer kernels need it.
        float_layers: Convolutions that stay in float.
        equalised: Convolution -> how its channels are balanced (`calibration/equalise.py`). The
            ranges above are those without it.
        options: Settings of the method.
        weights_sha256: Of the weights that were calibrated.
        seed: Of the draw.
        windows: How many were fed.
        tile: Largest part of a frame that was fed, `(H, W)`.
        clips: What they were drawn from.
        psnr_db: Of int8 pictures against those of fp32, on windows of the draw.
        min_psnr_db: What `float_layers` were chosen for.
        notes: What the user should know.
        versions: Package -> version.
    """

    method: str
    ranges: dict[str, Range]
    outputs: dict[str, Range] = field(default_factory=dict)
    float_layers: tuple[str, ...] = ()
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
                    raise ValueError(f"{kind}.{key} is [{low}, {high}], which is no range")

    def ranges_with(self, applied: Collection[str]) -> tuple[dict[str, Range], dict[str, Range]]:
        """Ranges and outputs where these convolutions of `equalised` are balanced in the graph."""
        ranges, outputs = dict(self.ranges), dict(self.outputs)
        for first in applied:
            chosen = self.equalised[first]
            ranges[chosen.second], outputs[first] = chosen.input, chosen.output
        return ranges, outputs

    @property
    def is_learnt(self) -> bool:
        """Whether the ranges come from quantisation-aware training, to be taken as they are."""
        return self.method == QAT


def read_calibration(package: Path) -> Calibration | None:
    """What a package says of its ranges; None where it was never calibrated.

    Keys that are not known are skipped: training may note more than is needed here.

    Raises:
        SpecError: The file is damaged, or of a newer schema.
    """
    path = inside(package, CALIBRATION_FILE)
    if not path.is_file():
        return None
    if path.stat().st_size > LIMIT_BYTES:
        raise SpecError(f"{path} has {path.stat().st_size} bytes; at most {LIMIT_BYTES} are read")
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{path} is not readable as JSON ({error}); calibrate again") from error
    if not isinstance(data, dict):
        raise SpecError(f"{path} holds no object; calibrate again")
    version = data.get("schema_version", SCHEMA_VERSION)
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        raise SpecError(
            f"{path}: schema version {version} is newer than {SCHEMA_VERSION}, which this vsrc "
            f"reads; {this_installation().newer()}"
        )
    known = {key: value for key, value in data.items() if key in Calibration.__dataclass_fields__}
    return from_json(Calibration, known, where=str(path))


def write_calibration(package: Path, calibration: Calibration) -> Path:
    """Write the file of a package; it appears whole or not at all.

    Keys of a file that is there and that are not known here are kept.
    """
    path = inside(package, CALIBRATION_FILE)
    kept = {}
    if path.is_file() and calibration.is_learnt:
        there = json.loads(path.read_text(encoding="utf-8"))
        kept = {k: v for k, v in there.items() if k not in Calibration.__dataclass_fields__}
    data = {"schema_version": SCHEMA_VERSION, **kept, **to_json(calibration)}
    write_file(path, json.dumps(data, indent=2) + "\n")
    return path
