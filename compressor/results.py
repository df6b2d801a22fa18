"""Write the packages of a training run, with their provenance."""

from __future__ import annotations

import importlib.metadata
import platform
from dataclasses import dataclass
from pathlib import Path

from safetensors.torch import save_file
from torch import nn

from vsrc import __version__
from vsrc.calibration.calibration_file import write_calibration
from vsrc.compressor.build import Built
from vsrc.compressor.data.crop_shards import ShardManifest
from vsrc.compressor.data.library import ClipLibrary
from vsrc.compressor.objectives.table import describe_objective as describe_objective
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.package import WEIGHTS_FILE, describe_file, new_folder, write_spec
from vsrc.runtime.sample import typed_input
from vsrc.runtime.schema import to_json
from vsrc.runtime.spec import Degradation, FileSpec, ModelSpec, NetworkSpec, Provenance, Quality

PROTOCOL = "8-bit Y of BT.601, border of scale pixels cut, mean over frames"
"""Protocol of the validation scores."""


@dataclass(frozen=True)
class TrainedOn:
    """Data and teacher of a run, for the provenance.

    Attributes:
        folders: Data folders.
        sha256: SHA-256 of the frames.
        frames: Number of frames.
        teacher: Name of the teacher; of several, with their shares.
        teacher_sha256: SHA-256 of its weights; of several, joined by "+".
    """

    folders: tuple[str, ...]
    sha256: str
    frames: int
    teacher: str | None
    teacher_sha256: str | None


def trained_on_clips(config: DistillConfig, built: Built, library: ClipLibrary) -> TrainedOn:
    """Describe the data of a run that crops clips and runs its teacher itself."""
    return TrainedOn(
        folders=tuple(map(typed_input, config.data)),
        sha256=library.sha256,
        frames=library.frames,
        teacher=None if built.teacher is None else config.teacher,
        teacher_sha256=None if built.teacher is None else built.teacher.weights_sha256,
    )


def trained_on_shards(built: Built, manifest: ShardManifest) -> TrainedOn:
    """Describe the data of a run that reads stored crops."""
    teachers = manifest.teachers if built.distillation.objective.needs_teacher else ()
    names = [f"{each.share:.3g} {each.name}" for each in teachers]
    return TrainedOn(
        folders=manifest.data,
        sha256=manifest.data_sha256,
        frames=manifest.frames,
        teacher=teachers[0].name if len(teachers) == 1 else " + ".join(names) or None,
        teacher_sha256="+".join(str(each.weights_sha256) for each in teachers) or None,
    )


def write_results(
    config: DistillConfig,
    built: Built,
    student: nn.Module,
    *,
    data: TrainedOn,
    command: str,
    psnr: float | None,
) -> None:
    """Write the student's package; a teacher trained along goes to `teacher.vsrc` of the run.

    Args:
        config: Configuration of the run.
        built: Networks and objective of the run.
        student: Trained student.
        data: Data and teacher of the run.
        command: Command line, for the provenance.
        psnr: PSNR of Y on held-out clips, dB; None without held-out clips.
    """
    provenance = _provenance(config, data, command)
    quantiser = built.distillation.quantiser
    clips = "held-out clips" if quantiser is None else "held-out clips, computed in int8"
    quality = () if psnr is None else (Quality(clips, "psnr", PROTOCOL, psnr),)
    degradation: Degradation = "none" if config.degradation == "given" else config.degradation

    def write(
        path: Path, network: nn.Module, spec: NetworkSpec, quality: tuple[Quality, ...] = ()
    ) -> None:
        with new_folder(path, overwrite=config.overwrite or config.resume) as folder:
            weights = write_weights(folder, network)
            model = ModelSpec(spec, weights, degradation, provenance=provenance, quality=quality)
            if quantiser is not None and network is student:
                write_calibration(folder, quantiser.calibration(weights_sha256=weights.sha256))
            write_spec(folder, model)

    learning = built.distillation.learning_teacher
    if learning is not None and built.teacher is not None:
        write(config.run_folder / "teacher.vsrc", learning.network, built.teacher.spec)
    write(config.output, student, built.student.spec, quality)


def write_weights(folder: Path, network: nn.Module) -> FileSpec:
    """Write the weights into a package under construction."""
    state = {key: tensor.cpu().contiguous() for key, tensor in network.state_dict().items()}
    save_file(state, folder / WEIGHTS_FILE)
    return describe_file(folder, WEIGHTS_FILE)


def _provenance(config: DistillConfig, data: TrainedOn, command: str) -> Provenance:
    settings = to_json(config) | {"data": [typed_input(folder) for folder in config.data]}
    return Provenance(
        teacher=data.teacher,
        teacher_sha256=data.teacher_sha256,
        objective=describe_objective(config.objective, config.objective_options),
        data=data.folders,
        data_sha256=data.sha256,
        frames=data.frames,
        steps=config.steps,
        seed=config.seed,
        recipe={key: str(value) for key, value in settings.items()},
        command=command,
        versions=_versions(),
        licence=config.licence,
    )


def _versions() -> dict[str, str]:
    packages = ("torch", "accelerate", "numpy", "av")
    versions = {name: importlib.metadata.version(name) for name in packages}
    return {"vsrc": __version__, "python": platform.python_version(), **versions}
