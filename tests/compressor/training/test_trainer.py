from __future__ import annotations

import json
import math
import os
import shutil
import signal
from collections.abc import Callable, Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from vsrc.compressor.networks import create
from vsrc.compressor.objectives import create as create_objective
from vsrc.compressor.training.batch_source import Batch, Batches
from vsrc.compressor.training.checkpoint import find_checkpoints
from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.distillation_step import DistillationStep
from vsrc.compressor.training.progress import TrainProgress
from vsrc.compressor.training.trainer import Trainer
from vsrc.runtime.errors import MismatchError, StoppedError, TrainingError

CONFIG = TrainerConfig(
    steps=6,
    warmup=2,
    learning_rate=1e-3,
    checkpoint_every=100,
    log_every=2,
    device="cpu",
    threads=1,
)
Clips = Callable[..., Any]


def make_trainer(
    folder: Path,
    batches: Batches,
    config: TrainerConfig = CONFIG,
    *,
    objective: str = "std",
    validate: Callable[[nn.Module], float] | None = None,
    **recipe: object,
) -> Trainer:
    torch.manual_seed(1)
    student = create("edge-s", window=3)
    teacher = create("edvr-xs", window=3) if objective == "std" else None
    return Trainer(
        DistillationStep(
            student, create_objective(objective, student=student, teacher=teacher), teacher
        ),
        config,
        folder=folder,
        batches=batches,
        recipe=recipe,
        validate=validate,
    )


def all_weights(trainer: Trainer) -> dict[str, Tensor]:
    parts = {
        "student": trainer.student,
        "ema": trainer.ema.network,
        "objective": trainer.distillation.objective,
    }
    return {
        f"{name}.{key}": tensor.clone()
        for name, part in parts.items()
        for key, tensor in part.state_dict().items()
    }


def disturb(batches: Batches, *, at: int, act: Callable[[Batch], None]) -> Batches:
    """The same batches, with something done when batch number `at` is handed out."""

    def iter_disturbed(
        start: int, /, *, process: int, processes: int
    ) -> Generator[Batch, None, None]:
        stream = batches(start, process=process, processes=processes)
        for number, batch in enumerate(stream, start=start):
            if number == at:
                act(batch)
            yield batch

    return iter_disturbed


def kill(_: Batch) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.parametrize(
    ("stop_at", "changes"),
    [
        (1, {}),
        (3, {"precision": "bf16"}),
        (2, {"accumulate": 2, "ema": 0.0, "channels_last": False}),
    ],
)
def test_resumed_is_the_same_to_the_bit_as_never_stopped(
    tmp_path: Path, noise_clips: Clips, stop_at: int, changes: dict[str, Any]
) -> None:
    config = replace(CONFIG, steps=4, **changes)
    whole = make_trainer(tmp_path / "whole", noise_clips(clips=1), config)
    whole.run()

    killed = disturb(noise_clips(clips=1), at=stop_at * config.accumulate - 1, act=kill)
    with pytest.raises(StoppedError, match=f"stopped at step {stop_at} of 4; .*--resume"):
        make_trainer(tmp_path / "parts", killed, config).run()
    resumed = make_trainer(tmp_path / "parts", noise_clips(clips=1), config)
    assert resumed.resume() == stop_at
    resumed.run()

    expected, got = all_weights(whole), all_weights(resumed)
    assert expected.keys() == got.keys()
    assert [key for key in expected if not torch.equal(expected[key], got[key])] == []


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("state.pt", "truncated"),
        ("state.pt", "flipped"),
        ("state.pt", "gone"),
        ("hashes.json", "truncated"),
        ("student.safetensors", "truncated"),
        ("ema.safetensors", "flipped"),
        ("beside.safetensors", "gone"),
    ],
)
def test_a_damaged_checkpoint_is_passed_over_with_a_line(
    tmp_path: Path,
    noise_clips: Clips,
    caplog: pytest.LogCaptureFixture,
    name: str,
    how: str,
) -> None:
    config = replace(CONFIG, checkpoint_every=2)
    whole = make_trainer(tmp_path, noise_clips(), config).run()
    good, damaged = find_checkpoints(tmp_path / "checkpoints")
    shutil.copytree(good, good.with_name(f"{damaged.name}.bak"))  # a name that is not ours
    damage(damaged / name, how)
    trainer = make_trainer(tmp_path, noise_clips(), config)
    assert trainer.resume() == 4
    assert f"{damaged} is damaged" in caplog.text
    assert f"resuming from {good}" in caplog.text
    resumed = trainer.run()
    for key, tensor in whole.state_dict().items():
        assert torch.equal(tensor, resumed.state_dict()[key])
    assert find_checkpoints(tmp_path / "checkpoints") == [good, damaged]
    assert make_trainer(tmp_path, noise_clips(), config).resume() == 6  # written again


def test_where_all_checkpoints_are_damaged_nothing_is_lost(
    tmp_path: Path, noise_clips: Clips
) -> None:
    make_trainer(tmp_path, noise_clips(), replace(CONFIG, checkpoint_every=2, steps=4)).run()
    for path in find_checkpoints(tmp_path / "checkpoints"):
        damage(path / "state.pt", "truncated")
    with pytest.raises(TrainingError, match=r"all checkpoints in .* damaged.*--overwrite"):
        make_trainer(tmp_path, noise_clips()).resume()
    assert len(find_checkpoints(tmp_path / "checkpoints")) == 2


def damage(path: Path, how: str) -> None:
    data = bytearray(path.read_bytes())
    if how == "gone":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(data[: len(data) // 2])
    else:
        data[-len(data) // 3] ^= 1
        path.write_bytes(data)


def test_nothing_to_resume_is_a_fresh_start(tmp_path: Path, noise_clips: Clips) -> None:
    assert make_trainer(tmp_path, noise_clips()).resume() == 0


def test_signals_act_as_before_once_the_run_is_over(tmp_path: Path, noise_clips: Clips) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with pytest.raises(StoppedError):
        make_trainer(tmp_path, disturb(noise_clips(), at=0, act=kill), objective="none").run()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_another_recipe_is_not_resumed(tmp_path: Path, noise_clips: Clips) -> None:
    make_trainer(tmp_path, noise_clips(), objective="none", patch="64").run()
    with pytest.raises(MismatchError, match=r"patch='64', .*'32'"):
        make_trainer(tmp_path, noise_clips(), objective="none", patch="32").resume()


def test_batches_may_be_smaller_when_updates_keep_their_clips(
    tmp_path: Path, noise_clips: Clips
) -> None:
    recipe: dict[str, Any] = {"batch": 4, "accumulate": 1}
    make_trainer(tmp_path, noise_clips(), objective="none", **recipe).run()
    smaller: dict[str, Any] = {"batch": 2, "accumulate": 2}
    assert make_trainer(tmp_path, noise_clips(), objective="none", **smaller).resume() == 6
    with pytest.raises(MismatchError, match="batch=4, this run has 2"):
        make_trainer(tmp_path, noise_clips(), objective="none", batch=2, accumulate=1).resume()


@pytest.mark.parametrize("threads", [1, 2])
def test_the_number_of_threads_is_said_and_restored(
    tmp_path: Path, noise_clips: Clips, threads: int
) -> None:
    seen: list[TrainProgress] = []
    before = torch.get_num_threads()
    config = replace(CONFIG, threads=threads, steps=2, warmup=0)
    make_trainer(tmp_path, noise_clips(), config, objective="none").run(seen.append)
    assert [now.threads for now in seen] == [threads, threads]
    assert f"(--set threads={threads})" in seen[0].notice
    assert seen[1].notice == ""
    assert torch.get_num_threads() == before


def test_a_setting_that_came_later_had_its_default(tmp_path: Path, noise_clips: Clips) -> None:
    make_trainer(tmp_path, noise_clips(), objective="none", patch="64").run()
    clips = noise_clips()
    same = make_trainer(
        tmp_path, clips, objective="none", patch="64", int8_last=0.0, other_widths=[]
    )
    assert same.resume() > 0
    other = make_trainer(tmp_path, clips, objective="none", patch="64", int8_last=0.5)
    with pytest.raises(MismatchError, match=r"int8_last=0\.0, .*0\.5"):
        other.resume()


def test_a_loss_that_is_not_finite_stops_and_says_where(tmp_path: Path, noise_clips: Clips) -> None:
    def poison(batch: Batch) -> None:
        batch.hr[1, 0, 0, 0, 0] = math.nan

    config = replace(CONFIG, checkpoint_every=2)
    trainer = make_trainer(tmp_path, disturb(noise_clips(), at=3, act=poison), config)
    with pytest.raises(TrainingError, match=r"step 4: .*nan, .*noise 6, noise 7.*step-00000002"):
        trainer.run()
    assert all(tensor.isfinite().all() for tensor in all_weights(trainer).values())


def test_a_gradient_that_is_not_finite_stops_before_it_does_harm(
    tmp_path: Path, noise_clips: Clips
) -> None:
    trainer = make_trainer(tmp_path, noise_clips(), objective="none")
    bias = trainer.student.get_parameter("tail.bias")
    bias.register_hook(lambda gradient: gradient * math.inf)  # type: ignore[no-untyped-call]
    with pytest.raises(TrainingError, match=r"step 1: the gradient.* (inf|nan)"):
        trainer.run()
    assert all(tensor.isfinite().all() for tensor in all_weights(trainer).values())


def test_any_error_of_a_step_says_where_the_run_was(tmp_path: Path, noise_clips: Clips) -> None:
    def fail(_: Batch) -> None:
        raise KeyError("shot")

    config = replace(CONFIG, checkpoint_every=2)
    trainer = make_trainer(
        tmp_path, disturb(noise_clips(), at=3, act=fail), config, objective="none"
    )
    with pytest.raises(TrainingError, match=r"^step 4: KeyError: 'shot'; last .*step-00000002; "):
        trainer.run()


def test_a_module_can_learn_alone_at_first(tmp_path: Path, noise_clips: Clips) -> None:
    changed: list[set[str]] = []
    config = replace(CONFIG, first_module="fusion", first_steps=4, warmup=0)
    trainer = make_trainer(tmp_path, noise_clips(), config, objective="none")
    before = {name: p.detach().clone() for name, p in trainer.student.named_parameters()}

    def note(_: TrainProgress) -> None:
        now = dict(trainer.student.named_parameters())
        changed.append({name for name, p in before.items() if not torch.equal(p, now[name])})

    trainer.run(note)
    assert changed[0] == changed[3] == {"fusion.conv.weight", "fusion.conv.bias"}
    assert changed[4] == set(before)


def test_old_checkpoints_are_removed(tmp_path: Path, noise_clips: Clips) -> None:
    trainer = make_trainer(
        tmp_path, noise_clips(), replace(CONFIG, checkpoint_every=1), objective="none"
    )
    trainer.run()
    names = [path.name for path in find_checkpoints(trainer.checkpoints)]
    assert names == ["step-00000005", "step-00000006"]


def test_progress_and_log_say_what_happened(tmp_path: Path, noise_clips: Clips) -> None:
    seen: list[TrainProgress] = []
    measured: list[bool] = []

    def validate(network: nn.Module) -> float:
        measured.append(network.training)
        return 30.0 + len(measured)

    config = replace(CONFIG, validate_every=4)
    trainer = make_trainer(tmp_path, noise_clips(clips=2, length=3), config, validate=validate)
    trainer.run(seen.append)
    assert [now.step for now in seen] == [1, 2, 3, 4, 5, 6]
    assert [now.psnr for now in seen] == [None, None, None, 31.0, 31.0, 32.0]
    assert seen[-1].eta_seconds == 0
    assert all(0 <= now.wait_share <= 1 and now.images_per_second > 0 for now in seen)
    assert seen[2].loss == pytest.approx(sum(seen[2].terms.values()))
    assert set(seen[0].terms) == {"hr", "space", "time"}
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [2, 4, 6]
    assert lines[-1]["psnr"] == 32.0
    assert list((tmp_path / "tensorboard").glob("events*"))


def test_a_resumed_log_has_each_step_once(tmp_path: Path, noise_clips: Clips) -> None:
    config = replace(CONFIG, log_every=1, checkpoint_every=3)
    make_trainer(tmp_path, noise_clips(), config, objective="none").run()
    shutil.rmtree(tmp_path / "checkpoints" / "step-00000006")  # as if the process was killed
    again = make_trainer(tmp_path, noise_clips(), config, objective="none")
    assert again.resume() == 3
    again.run()
    lines = (tmp_path / "log.jsonl").read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == [1, 2, 3, 4, 5, 6]


def test_the_loss_falls(tmp_path: Path, noise_clips: Clips) -> None:
    losses: list[float] = []
    config = replace(CONFIG, steps=60, learning_rate=2e-3)
    trainer = make_trainer(tmp_path, noise_clips(clips=4), config, objective="none")
    trainer.run(lambda now: losses.append(now.loss))
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
