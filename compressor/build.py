"""Build the networks and the objective that a configuration names."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from vsrc.compressor.networks.loading.find_network import FoundNetwork, find_network, find_teacher
from vsrc.compressor.objectives.objective import Objective
from vsrc.compressor.objectives.table import create as create_objective
from vsrc.compressor.training.config import DistillConfig
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.quantiser import Quantiser
from vsrc.runtime.text.missing_path import describe_missing


@dataclass(frozen=True)
class Built:
    """Student, teacher and objective of a run.

    Attributes:
        student: Network that is trained.
        teacher: Network whose outputs are the targets; None where the objective needs none.
        distillation: Module that computes the objective from both networks.
    """

    student: FoundNetwork
    teacher: FoundNetwork | None
    distillation: DistillationStep


def build(config: DistillConfig) -> Built:
    """Build everything that has weights; fresh weights follow from the seed.

    Raises:
        ValueError: Unknown name or option, or a teacher without weights.
        MismatchError: Weights of another network or for another scale.
    """
    torch.manual_seed(config.seed)
    student = find_network(
        config.student,
        scale=config.scale,
        weights=config.student_weights,
        arguments=config.student_arguments,
        weights_as=config.student_weights_as,
        allow_code=config.allow_code,
    )
    teacher = _teacher(config)
    network = None if teacher is None else teacher.network
    objective = create_objective(
        config.objective,
        student=student.network,
        teacher=network,
        pictures_kept=config.teacher_cache is not None,
        **config.objective_options,
    )
    distillation = DistillationStep(
        student.network,
        objective,
        network if objective.needs_teacher else None,
        targets=config.targets,
        teacher_dtype=_teacher_dtype(config),
        quantiser=_quantiser(config, student.network),
        other_widths=_other_widths(config, objective),
    )
    return Built(student, teacher if objective.needs_teacher else None, distillation)


def _teacher(config: DistillConfig) -> FoundNetwork | None:
    if config.teacher is None:
        return None
    weights = config.teacher_weights
    if weights is not None and not weights.exists():
        raise FileNotFoundError(
            f"{describe_missing(weights)}; name the checkpoint of teacher {config.teacher} with "
            "--teacher-weights FILE"
        )
    return find_teacher(
        config.teacher,
        scale=config.scale,
        weights=weights,
        arguments=config.teacher_arguments,
        allow_code=config.allow_code,
    )


def _other_widths(config: DistillConfig, objective: Objective) -> list[nn.Module]:
    if config.other_widths and not objective.shares_weights:
        raise ValueError(
            f"other_widths={list(config.other_widths)}: with objective {config.objective} the "
            "student does not share its weights with other widths; expected csd"
        )
    networks = []
    for width in config.other_widths:
        arguments = {**config.student_arguments, "width": width}
        student = find_network(
            config.student, scale=config.scale, weights=None, arguments=arguments
        )
        networks.append(student.network)
    return networks


def _quantiser(config: DistillConfig, student: nn.Module) -> Quantiser | None:
    if config.first_int8_step == config.steps:
        return None
    return Quantiser(student, config.float_layers)


def _teacher_dtype(config: DistillConfig) -> torch.dtype:
    fast = config.teacher_precision == "auto" and _bfloat16_is_fast(cpu=config.device == "cpu")
    return torch.bfloat16 if fast or config.teacher_precision == "bf16" else torch.float32


def _bfloat16_is_fast(*, cpu: bool) -> bool:
    if torch.cuda.is_available() and not cpu:
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    # Torch before 2.9 has no query for this CPU feature.
    capabilities: dict[str, bool] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))
