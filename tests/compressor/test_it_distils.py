"""Distillation changes the student the way its loss says."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.features.taps import open_taps
from vsrc.compressor.networks.video.edvr import Edvr, EdvrSize
from vsrc.compressor.objectives.objective import Objective
from vsrc.compressor.objectives.plain import Plain
from vsrc.compressor.objectives.std import Std, attention_map, space_distance, time_distance
from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.trainer import Trainer

CONFIG = TrainerConfig(steps=40, warmup=5, learning_rate=3e-3, ema=0.0, device="cpu")


def networks() -> tuple[nn.Module, nn.Module]:
    """Student and teacher with the same F^SR, so that no adapter can do the learning instead."""
    torch.manual_seed(7)
    student = Edvr(EdvrSize(4, 4, 2, 1, 1), window=3, name="student")
    teacher = Edvr(EdvrSize(8, 4, 2, 1, 1), window=3, name="teacher")
    with torch.no_grad():
        for network in (student, teacher):
            network.conv_hr.weight.mul_(8)  # a fresh network's features are next to nothing
    return student, teacher


def features_of(network: nn.Module, clip: Tensor) -> Tensor:
    """F^SR of each frame, `(1, T, C, sH, sW)`."""
    frames = range(clip.shape[1])
    with torch.no_grad(), open_taps(network, ["hr_features"]) as features:
        ClipNetwork(network)(clip, frames)
    return features["hr_features"].unsqueeze(0)


@pytest.mark.parametrize("weights", [(1e-2, 0.0), (1e-3, 1e-1)], ids=["space", "time"])
def test_features_of_an_unseen_clip_come_nearer_to_the_teacher(
    tmp_path: Path, noise_clips: Callable[..., Any], weights: tuple[float, float]
) -> None:
    student, teacher = networks()
    objective = Std(
        student=student, teacher=teacher, lambda_space=weights[0], lambda_time=weights[1]
    )
    assert objective.adapter is None
    # The objective's ConvLSTM learns too; this one is a ruler that does not.
    ruler = copy.deepcopy(Std(student=student, teacher=teacher).lstm)
    assert ruler is not None
    clips = noise_clips(clips=2)
    unseen = next(clips(10_000, process=0, processes=1)).lr[:1]

    def train_with(objective: Objective, name: str) -> Tensor:
        pupil = copy.deepcopy(student)
        distillation = DistillationStep(pupil, objective, teacher, targets="all")
        Trainer(distillation, CONFIG, folder=tmp_path / name, batches=clips).run()
        ours, theirs = features_of(pupil, unseen), features_of(teacher, unseen)
        with torch.no_grad():
            if weights[1]:
                return time_distance(ruler, ours, theirs)
            maps = (attention_map(x.movedim(2, 1), "sum2") for x in (ours, theirs))
            return space_distance(*maps)

    assert train_with(objective, "distilled") < 0.5 * train_with(Plain(), "alone")


def test_the_teacher_stays_as_it_is(tmp_path: Path, noise_clips: Callable[..., Any]) -> None:
    student, teacher = networks()
    before = {key: tensor.clone() for key, tensor in teacher.state_dict().items()}
    distillation = DistillationStep(student, Std(student=student, teacher=teacher), teacher)
    config = TrainerConfig(steps=2, device="cpu")
    Trainer(distillation, config, folder=tmp_path, batches=noise_clips()).run()
    assert all(torch.equal(tensor, before[key]) for key, tensor in teacher.state_dict().items())
