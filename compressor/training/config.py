"""Settings of a training run: defaults of `vsrc distill`, keys of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsrc.compressor.training.setting_range import SettingRange, check_ranges
from vsrc.runtime.spec import Argument

TRAINING_MODULES = ("torch", "accelerate", "safetensors", "tensorboard", "yaml")
"""Modules that training imports; checked before it starts."""

OBJECTIVE_NAMES = (
    "std",
    "srkd",
    "fakd",
    "pisr",
    "pisr-teacher",
    "csd",
    "output",
    "perceptual",
    "none",
)
"""Names in the table of objectives, which is loaded only for training."""


_COUNT, _NOT_NEGATIVE, _SHARE = SettingRange(1), SettingRange(0), SettingRange(0, 1)

TRAINER_RANGES = {
    "steps": _COUNT,
    "batch": _COUNT,
    "accumulate": _COUNT,
    "learning_rate": SettingRange(0, is_low_open=True),
    "warmup": _NOT_NEGATIVE,
    "step_factor": SettingRange(0, 1, is_low_open=True),
    "floor": _NOT_NEGATIVE,
    "first_steps": _NOT_NEGATIVE,
    "int8_last": _SHARE,
    "clip_norm": _NOT_NEGATIVE,
    "ema": SettingRange(0, 1, is_high_open=True),
    "threads": _NOT_NEGATIVE,
    "checkpoint_every": _COUNT,
    "log_every": _COUNT,
    "validate_every": _NOT_NEGATIVE,
}
"""Numeric setting of `TrainerConfig` -> its range; others take any number."""

DISTILL_RANGES = {
    "target_latency_ms": SettingRange(0, is_low_open=True),
    "clip_length": _COUNT,
    "candidates": _COUNT,
    "stills": _SHARE,
    "holdout": SettingRange(0, 1, is_high_open=True),
    "holdout_clips": _NOT_NEGATIVE,
    "workers": _NOT_NEGATIVE,
}
"""The same of `DistillConfig`."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """Settings of training, independent of network and objective.

    Attributes:
        steps: Number of weight updates.
        batch: Clips per forward pass and process.
        accumulate: Forward passes per update.
        learning_rate: Peak learning rate of Adam.
        schedule: Learning rate schedule: `cosine`, `cosine-restarts` (again at each milestone),
            `step` (multiplied by `step_factor` at each milestone) or `constant`.
        warmup: Steps of linear warm-up, at most a tenth of the run.
        milestones: Milestones of the schedule, as fractions of the run, ascending.
        step_factor: Factor of the schedule `step` at each milestone, in (0, 1].
        floor: Final value of a cosine, as a fraction of the peak rate.
        first_module: Path of a module of the student that is trained alone at first.
        first_steps: Number of steps for which it is.
        int8_last: Final fraction of the run in which the student computes as its int8 graph will;
            its ranges are trained along and stored in the package.
        float_layers: Convolutions that stay float in it; None for the first and the last.
        clip_norm: Maximum norm of the gradient; 0 disables clipping.
        ema: Decay of the averaged weights, which are the result; 0 keeps the last weights.
        targets: Frames of a clip that are upscaled: `all`, `centre`, or `auto` (all only if the
            objective compares frames over time).
        precision: Arithmetic of the student.
        teacher_precision: Arithmetic of the teacher; `auto` uses bf16 where the processor
            supports it, which is faster and rounds features by at most one part in 500.
        channels_last: Whether to use the channels_last memory format.
        device: Device; `auto` uses a GPU if there is one.
        threads: Threads that compute a step on a CPU; 0 for `OMP_NUM_THREADS`, or without it for
            the fastest number in a trial during the first steps.
        seed: Seed of the fresh weights, the data and every random draw.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps between log entries.
        validate_every: Steps between validations (PSNR on held-out clips); 0 for the last step
            only.
    """

    steps: int = 20_000
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 5e-4
    schedule: Literal["cosine", "cosine-restarts", "step", "constant"] = "cosine"
    warmup: int = 100
    milestones: tuple[float, ...] = (0.5, 0.8)
    step_factor: float = 0.5
    floor: float = 0.0
    first_module: str = ""
    first_steps: int = 0
    int8_last: float = 0.0
    float_layers: tuple[str, ...] | None = None
    clip_norm: float = 1.0
    ema: float = 0.999
    targets: Literal["auto", "all", "centre"] = "auto"
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    teacher_precision: Literal["auto", "fp32", "bf16"] = "auto"
    channels_last: bool = True
    device: Literal["auto", "cpu"] = "auto"
    threads: int = 0
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 20
    validate_every: int = 500

    def __post_init__(self) -> None:
        check_ranges(self, TRAINER_RANGES)

    @property
    def first_int8_step(self) -> int:
        """Step from which the student computes in int8; `steps` if it never does."""
        return self.steps - round(self.int8_last * self.steps)


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TrainerConfig):
    """Settings of `vsrc distill`.

    Attributes:
        student: Name in the table, `module:function`, or a package (whose training continues).
        data: Folders of videos or frames.
        output: Package to write.
        teacher: Name, `module:function`, `spandrel:FILE`, or a package; None for objective `none`.
        teacher_weights: Checkpoint of the teacher.
        teacher_cache: Folder written by `vsrc shard`: crops and teacher outputs. Replaces data and
            teacher.
        student_weights: Checkpoint that the student starts from.
        student_weights_as: How to use them: `whole`; `partial`: tensors that fit by name and shape,
            the rest is fresh; `seed`: weights of a smaller `edge`, whose function the student
            starts with, in its own width and depth.
        target_latency_ms: Latency target of the student, ms per frame; selects the largest `edge`
            that meets it.
        target_shape: LR frame size `(H, W)` of the latency target; None if the profile has only
            one.
        device_profile: Latency profile of the device, written by `vsrc bench --profile`.
        student_arguments: Arguments of the student's constructor.
        teacher_arguments: Arguments of the teacher's constructor.
        objective: Name in the table of objectives, `module:function`, or several joined by "+".
        objective_options: Options of the objective.
        other_widths: For `csd`: further widths trained on the weights of student and teacher, so
            that `vsrc split` can cut a student of each.
        scale: SR/LR side ratio.
        degradation: How LR is made from HR.
        clip_length: L, frames of a clip.
        patch: Side of the HR crop, pixels.
        candidates: Number of places drawn for each crop, of which the one with most detail is
            taken.
        stills: Fraction of the crops that repeat their centre frame, as a photograph is upscaled,
            0..1. Teacher outputs from shards stay those of the moving clip.
        max_height: HR frame height above which frames are downscaled first, pixels.
        holdout: Fraction of the frames that is held out for validation.
        holdout_clips: Number of held-out clips used for validation.
        workers: Number of data loading processes; 0 loads in the training process.
        cache: Folder of decoded frames; None for the user's cache folder.
        licence: Licence of the written weights, an SPDX identifier where there is one.
        run_dir: Folder of checkpoints and logs; None for `<output>.run`.
        resume: Whether to resume from the last checkpoint in the run folder, if there is one.
        overwrite: Whether to replace an existing package and run.
        allow_code: Whether a student or teacher package may name a network outside the table, whose
            import runs its code.
    """

    student: str = "edge-s"
    data: tuple[Path, ...] = ()
    output: Path = Path("student.vsrc")
    teacher: str | None = None
    teacher_weights: Path | None = None
    teacher_cache: Path | None = None
    student_weights: Path | None = None
    student_weights_as: Literal["whole", "partial", "seed"] = "whole"
    target_latency_ms: float | None = None
    target_shape: tuple[int, int] | None = None
    device_profile: Path | None = None
    student_arguments: dict[str, Argument] = field(default_factory=dict)
    teacher_arguments: dict[str, Argument] = field(default_factory=dict)
    objective: str = "std"
    objective_options: dict[str, Argument] = field(default_factory=dict)
    other_widths: tuple[float, ...] = ()
    scale: int = 4
    degradation: Literal["bi", "bd", "real", "given"] = "bi"
    clip_length: int = 5
    patch: int = 128
    candidates: int = 1
    stills: float = 0.0
    max_height: int | None = None
    holdout: float = 0.05
    holdout_clips: int = 4
    workers: int = 1
    cache: Path | None = None
    licence: str = "unstated"
    run_dir: Path | None = None
    resume: bool = False
    overwrite: bool = False
    allow_code: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.teacher_cache is None and not self.data:
            raise ValueError("no data: name folders of videos or frames with --data")
        if self.teacher_cache is not None and (self.data or self.teacher is not None):
            raise ValueError(
                f"teacher_cache={str(self.teacher_cache)!r} replaces data and teacher: "
                "leave out --data and --teacher, or leave out --teacher-cache"
            )
        check_ranges(self, DISTILL_RANGES)

    @property
    def run_folder(self) -> Path:
        """Folder of checkpoints and logs."""
        return self.run_dir or self.output.with_name(f"{self.output.name}.run")
