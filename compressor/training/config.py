"""What a run of training is told: defaults of `vsrc distill`, keys of a recipe."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from vsrc.runtime.spec import Argument

TRAINING_MODULES = ("torch", "accelerate", "safetensors", "tensorboard", "yaml")
"""What training imports, here or there; checked before it begins."""


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How a network is trained, whatever it is and whatever it learns from.

    Attributes:
        steps: Updates of the weights.
        batch: Clips of one forward pass, in each process.
        accumulate: Forward passes of one update.
        learning_rate: Highest rate of Adam.
        schedule: How the rate changes: `cosine`, `cosine-restarts` (again at each milestone),
            `step` (halved at each milestone) or `constant`.
        warmup: Steps over which the rate rises at the start; a tenth of the run at most.
        milestones: Shares of the run, in order.
        floor: Where a cosine ends, as a share of the highest rate.
        first_module: Path of a module of the student that learns alone at first.
        first_steps: For how many steps it does.
        int8_last: Share of the run, at its end, in which the student computes as its int8 graph
            will; its ranges learn along and go into the package.
        float_layers: Convolutions that stay float then; None for the first and the last.
        clip_norm: Largest norm of the gradient; 0 leaves it as it is.
        ema: Decay of the averaged weights, which are what is kept; 0 keeps the last ones.
        targets: Frames of a clip that are restored: `all`, `centre`, or `auto` (all only if the
            objective compares frames over time).
        precision: Arithmetic of the student.
        teacher_precision: Arithmetic of the teacher; `auto` takes bf16 where the processor has it,
            which is faster there and rounds its features by a part in 500 at most.
        channels_last: Keep features with channels innermost in memory.
        device: `auto` takes a GPU where there is one.
        seed: Of the fresh weights, the data and every random draw.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps between lines of the log.
        validate_every: Steps between measurements of PSNR on held-out clips; 0 for none but the
            last.
    """

    steps: int = 20_000
    batch: int = 8
    accumulate: int = 1
    learning_rate: float = 5e-4
    schedule: Literal["cosine", "cosine-restarts", "step", "constant"] = "cosine"
    warmup: int = 100
    milestones: tuple[float, ...] = (0.5, 0.8)
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
    seed: int = 0
    checkpoint_every: int = 500
    log_every: int = 20
    validate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "checkpoint_every", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        for name in ("warmup", "clip_norm", "validate_every", "floor", "first_steps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}={getattr(self, name)} must not be negative")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0")
        if not 0 <= self.int8_last <= 1:
            raise ValueError(f"int8_last={self.int8_last} must lie in [0, 1]")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema={self.ema} must lie in [0, 1)")

    @property
    def first_int8_step(self) -> int:
        """Step from which the student computes in int8; `steps` if it never does."""
        return self.steps - round(self.int8_last * self.steps)


@dataclass(frozen=True, kw_only=True)
class DistillConfig(TrainerConfig):
    """Teacher and clips to a student: what `vsrc distill` is told.

    Attributes:
        student: Name in the table, `module:function`, or a package (which is then taught further).
        data: Folders of videos or frames.
        output: Package that is written.
        teacher: Name, `module:function`, `spandrel:FILE`, or a package; None for objective `none`.
        teacher_weights: Checkpoint of the teacher.
        teacher_cache: Folder that `vsrc shard` made: crops, and what its teachers made of them. It
            takes the place of data and teacher.
        student_weights: Checkpoint that the student starts from.
        student_weights_as: What they are to the student: `whole`; `partial`: what fits is taken, by
            name and shape, the rest starts fresh; `seed`: those of a smaller `edge`, which the
            student begins as, in its own width and depth.
        target_latency_ms: Latency of a frame that the student shall keep; it is then the largest
            `edge` that does.
        target_shape: LR frame, `(H, W)`, that the latency is meant for; None if the profile holds
            but one.
        device_profile: What `vsrc bench --profile` wrote on the device.
        student_arguments: Passed to the student's constructor.
        teacher_arguments: Passed to the teacher's constructor.
        objective: Name in the table of objectives.
        objective_options: Passed to the objective.
        other_widths: Of `csd`: further widths that learn on the weights of student and teacher, so
            that `vsrc split` can cut a student of each.
        scale: SR/LR side ratio.
        degradation: How LR is made from HR.
        clip_length: L, frames of a clip.
        patch: Side of the HR crop, pixels.
        candidates: Places drawn for each crop, of which the one with most detail is taken; more
            than 1 spends the steps where there is something to learn.
        max_height: Taller HR frames are made smaller first, pixels.
        holdout: Share of the frames that is measured on and never taught from.
        holdout_clips: Held-out clips that are measured.
        workers: Processes that prepare clips; 0 prepares them in the training process.
        cache: Folder of decoded frames; None for the user's cache folder.
        licence: Of the weights that are written, SPDX where there is one.
        run_dir: Folder of checkpoints and logs; None for `<output>.run`.
        resume: Go on from the last checkpoint in the run folder, if there is one.
        overwrite: Replace an existing package and run.
        allow_code: A package that is named as student or teacher may name a network outside the
            table: importing it runs the code it lies in.
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
                f"teacher_cache={str(self.teacher_cache)!r} holds crops and teacher's pictures "
                "already: leave out --data and --teacher, or leave out --teacher-cache"
            )
        if self.candidates < 1:
            raise ValueError(f"candidates={self.candidates} must be 1 or more")
        if self.clip_length < 1 or self.workers < 0 or self.holdout_clips < 0:
            raise ValueError(
                f"clip_length={self.clip_length} must be at least 1, workers={self.workers} and "
                f"holdout_clips={self.holdout_clips} not negative"
            )
        if self.target_latency_ms is not None and not 0 < self.target_latency_ms < float("inf"):
            raise ValueError(f"target_latency_ms={self.target_latency_ms} must be above 0")
        if not 0 <= self.holdout < 1:
            raise ValueError(f"holdout={self.holdout} must lie in [0, 1)")

    @property
    def run_folder(self) -> Path:
        """Where checkpoints and logs go."""
        return self.run_dir or self.output.with_name(f"{self.output.name}.run")
