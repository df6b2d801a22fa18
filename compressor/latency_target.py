"""Choose the largest `edge` student that meets a latency target, by a device's profile.

Within one family more arithmetic gives better quality, and what arithmetic costs depends on the
device: widths that fill its registers are cheap. So of all sizes that the profile says
are fast enough, the one with the most multiply-accumulates is taken, the deeper one on a
tie. Fast enough means that the upper bound of the predicted latency meets the target.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.latency_profile import LatencyProfile, Prediction
from vsrc.runtime.report.choice_table import ChoiceRow, choice_table
from vsrc.runtime.text.size_text import format_shape, size_text

FAMILY = "edge"
_WIDTH_STEP = 4
_EXAMPLES = 2
_WINDOW = 5
"""Window of the family where none is given, frames."""
_BYTES_PER_WEIGHT = 4


@dataclass(frozen=True)
class SizeCandidate:
    """A student size and its cost.

    Attributes:
        size: Channels and depth.
        kilo_mac: Multiply-accumulates per LR pixel, in thousands.
        latency: Latency on the device.
    """

    size: EdgeSize
    kilo_mac: float
    latency: Prediction

    @property
    def surely_ms(self) -> float:
        """Upper bound of the latency according to the profile, ms."""
        return self.latency.latency_ms if self.latency.high_ms is None else self.latency.high_ms

    def text(self) -> str:
        """`16x32x9 (122.0 kMAC/px): 11.2 ms, at most 11.9 (predicted)`."""
        how = "measured" if self.latency.measured else "predicted"
        limit = "" if self.latency.high_ms is None else f", at most {self.surely_ms:.2f}"
        return (
            f"{self.size} ({self.kilo_mac:.1f} kMAC/px): "
            f"{self.latency.latency_ms:.2f} ms{limit} ({how})"
        )


@dataclass(frozen=True)
class StudentChoice:
    """Student chosen for a latency target, and the alternatives.

    Attributes:
        chosen: Student that was chosen.
        target_ms: Latency target, ms per frame.
        shape: LR frame size, `(H, W)`.
        device: Device of the profile.
        tried: Number of sizes considered.
        fitting: Number of sizes that meet the target.
        too_slow: Candidate with the least arithmetic above the chosen one; it misses the target.
        scale: SR/LR side ratio of the students.
        window: Number of frames that they are fed at once.
    """

    chosen: SizeCandidate
    target_ms: float
    shape: tuple[int, int]
    device: str
    tried: int
    fitting: int
    too_slow: tuple[SizeCandidate, ...]
    scale: int
    window: int

    def text(self) -> str:
        """The sizes in a table, and the settings that take the recommended one."""
        lines = [
            f"{self.target_ms:g} ms at {format_shape(*self.shape)} on {self.device}: "
            f"{self.fitting} of {self.tried} sizes meet it; "
            f"recommended: {self.chosen.size}, the largest of these",
            *choice_table(
                "encoded x features x blocks",
                [self._row(candidate) for candidate in (self.chosen, *self.too_slow)],
                command=f"vsrc distill --student {FAMILY} {self._settings()} --data DIR ...",
                label="the same without a profile",
            ),
        ]
        if not self.too_slow:
            lines.append("every size that the profile covers is fast enough: edge-l may be, too")
        return "\n".join(lines)

    def _row(self, candidate: SizeCandidate) -> ChoiceRow:
        how = "measured" if candidate.latency.measured else "predicted"
        limit = "" if candidate.latency.high_ms is None else f", at most {candidate.surely_ms:.2f}"
        is_chosen = candidate is self.chosen
        weights = candidate.size.weights(scale=self.scale, window=self.window)
        return ChoiceRow(
            str(candidate.size),
            candidate.latency.latency_ms,
            None,
            size_text(_BYTES_PER_WEIGHT * weights),
            f"{how}{limit}" if is_chosen else f"too slow, {how}{limit}",
            is_recommended=is_chosen,
        )

    def _settings(self) -> str:
        arguments = asdict(self.chosen.size)
        if self.window != _WINDOW:
            arguments["window"] = self.window
        words = [f"--set student_arguments.{name}={arguments[name]}" for name in arguments]
        return " ".join(words + [f"--set scale={self.scale}"] * (self.scale != DistillConfig.scale))


def resolve_target(config: DistillConfig) -> tuple[DistillConfig, StudentChoice | None]:
    """Replace the target latency of a configuration by the student that meets it.

    Returns:
        The configuration with the chosen student instead of the target, and the choice (None
            where no target is set; the configuration is then unchanged).

    Raises:
        ValueError: Parts of the target are missing, or a student is given as well.
        MismatchError: No size is fast enough, or the profile is of other networks.
        SpecError: The profile cannot be read.
    """
    if config.target_latency_ms is None:
        return config, None
    if config.device_profile is None:
        raise ValueError(
            "a target latency needs a latency profile of the device: run vsrc bench --profile F "
            "there, and give it with --device-profile F"
        )
    if config.student not in (DistillConfig.student, FAMILY) or config.student_weights is not None:
        raise ValueError(
            f"a target latency selects a fresh {FAMILY} student: remove --student "
            f"{config.student} and student_weights"
        )
    profile = LatencyProfile.read(config.device_profile)
    _check_alike(profile, config, config.device_profile)
    choice = choose_student(profile, target_ms=config.target_latency_ms, shape=config.target_shape)
    arguments = {**config.student_arguments, **asdict(choice.chosen.size)}
    aimed_at = replace(
        config,
        student=FAMILY,
        student_arguments=arguments,
        target_latency_ms=None,
        target_shape=None,
        device_profile=None,
    )
    return aimed_at, choice


def choose_student(
    profile: LatencyProfile, *, target_ms: float, shape: tuple[int, int] | None = None
) -> StudentChoice:
    """Return the student with the most arithmetic that meets a latency target.

    Sizes between the measured ones are considered, none beyond them.

    Args:
        profile: Latency profile of the device.
        target_ms: Latency target, ms per frame.
        shape: LR frame size, `(H, W)`; None if the profile holds only one.

    Raises:
        MismatchError: No size is fast enough, or the shape was not measured.
    """
    candidates = sorted(_candidates(profile, shape), key=_arithmetic)
    fitting = [candidate for candidate in candidates if candidate.surely_ms <= target_ms]
    where = shape or profile.shapes[0]
    if not fitting:
        least = min(candidates, key=lambda candidate: candidate.surely_ms)
        raise MismatchError(
            f"no size of the profile meets {target_ms:g} ms at {format_shape(*where)}; the fastest "
            f"is {least.text()}: allow more time, use smaller frames, or profile smaller sizes "
            "(vsrc bench --profile F --sizes)"
        )
    chosen = fitting[-1]
    beyond = [
        candidate
        for candidate in candidates[candidates.index(chosen) + 1 :]
        if candidate.surely_ms > target_ms
    ]
    return StudentChoice(
        chosen=chosen,
        target_ms=target_ms,
        shape=where,
        device=f"{profile.machine.cpu}, {profile.session}",
        tried=len(candidates),
        fitting=len(fitting),
        too_slow=tuple(beyond[:_EXAMPLES]),
        scale=profile.scale,
        window=profile.window_frames,
    )


def _candidates(profile: LatencyProfile, shape: tuple[int, int] | None) -> Iterator[SizeCandidate]:
    """Yield the measured sizes, and those in steps between them."""
    measured = [point.size for point in profile.points]
    sizes = {(size.encoded, size.features, size.blocks) for size in measured}
    features = [size.features for size in measured]
    blocks = [size.blocks for size in measured]
    between = itertools.product(
        sorted({size.encoded for size in measured}),
        range(min(features), max(features) + 1, _WIDTH_STEP),
        range(min(blocks), max(blocks) + 1),
    )
    for encoded, width, depth in sorted(sizes.union(between)):
        size = EdgeSize(encoded, width, depth)
        latency = profile.predict(encoded=encoded, features=width, blocks=depth, shape=shape)
        arithmetic = size.kilo_mac(scale=profile.scale, window=profile.window_frames)
        yield SizeCandidate(size, arithmetic, latency)


def _arithmetic(candidate: SizeCandidate) -> tuple[float, int, int]:
    return candidate.kilo_mac, candidate.size.blocks, candidate.size.features


def _check_alike(profile: LatencyProfile, config: DistillConfig, path: Path) -> None:
    window = config.student_arguments.get("window", _WINDOW)
    for what, there, wanted in (
        ("scale", profile.scale, config.scale),
        ("window", profile.window_frames, window),
    ):
        if there != wanted:
            raise MismatchError(
                f"{path} was measured with {what}={there}, this student has {wanted}: measure it "
                f"so (vsrc bench --profile), or --set {what}={there}"
            )
