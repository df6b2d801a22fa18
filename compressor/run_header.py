"""What a training run says before its first step: networks, data, steps, device and places."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.compressor.build import Built
from vsrc.compressor.training.checkpoint import find_checkpoints, step_of
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.processes import device_of
from vsrc.runtime.sample import typed_input
from vsrc.runtime.spec import NetworkSpec
from vsrc.runtime.text.count_text import count_text


@dataclass(frozen=True)
class RunHeader:
    """Summary of a training run that begins.

    Attributes:
        student: Description of the student.
        teacher: Description of the teacher; "none" for training on ground truth alone.
        objective: Name of the objective.
        data: Folders of clips, or of crops.
        steps: Number of updates, and of clips in each.
        device: Device and arithmetic.
        output: Path of the package.
        run_folder: Folder of checkpoints and logs.
        resumed: Number of steps of the last checkpoint, if the run is resumed; else 0.
    """

    student: str
    teacher: str
    objective: str
    data: str
    steps: str
    device: str
    output: str
    run_folder: str
    resumed: int = 0

    def lines(self) -> list[str]:
        """A line for each of them."""
        resumed = f", resumed after step {self.resumed}" if self.resumed else ""
        rows = {
            "student": self.student,
            "teacher": self.teacher,
            "objective": self.objective,
            "data": self.data,
            "steps": f"{self.steps}{resumed}",
            "device": self.device,
            "writes": f"{self.output}; checkpoints and log in {self.run_folder}",
        }
        return [f"{name:<9}  {text}" for name, text in rows.items()]


def run_header(config: DistillConfig, built: Built) -> RunHeader:
    """Summarise a run whose networks are built; its data is not opened for that."""
    source = (config.teacher_cache,) if config.teacher_cache is not None else config.data
    clips = config.batch * config.accumulate
    teacher = "none" if built.teacher is None else describe_network(built.teacher.spec)
    if built.teacher is None and config.teacher_cache is not None:
        teacher = "its outputs are in the data"
    return RunHeader(
        student=describe_network(built.student.spec),
        teacher=teacher,
        objective=config.objective,
        data=", ".join(map(typed_input, source)),
        steps=(
            f"{count_text(config.steps, 'update')} of {count_text(clips, 'clip')} of "
            f"{count_text(config.clip_length, 'frame')}, "
            f"{config.patch} x {config.patch} HR pixels"
        ),
        device=f"{device_of(config)}, {config.precision}",
        output=str(config.output),
        run_folder=str(config.run_folder),
        resumed=_steps_done(config),
    )


def describe_network(spec: NetworkSpec) -> str:
    """Name, weights and operations of a network."""
    kilo_mac = spec.gmac_per_lr_pixel * 1e6
    return f"{spec.name}: {spec.parameters:,} parameters, {kilo_mac:.1f} kMAC per LR pixel"


def _steps_done(config: DistillConfig) -> int:
    if not config.resume:
        return 0
    found = find_checkpoints(config.run_folder / "checkpoints")
    return step_of(found[-1]) if found else 0
