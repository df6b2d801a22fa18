from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.threads import ThreadTrial, candidate_threads, start_trial
from vsrc.runtime.machine import Machine

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def four_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(None, "x86_64", 4, None, None, "Linux", None)
    monkeypatch.setattr("vsrc.compressor.training.threads.this_machine", lambda: machine)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def run(trial: ThreadTrial, seconds: dict[int, float], *, steps: int) -> list[str]:
    """Steps that take as long as their number of threads lets them; what was said."""
    said = [trial.note(seconds[torch.get_num_threads()]) for _ in range(steps)]
    return [text for text in said if text]


@pytest.mark.parametrize(
    ("cores", "loaders", "expected"),
    [(1, 1, (1,)), (2, 1, (2, 1)), (4, 1, (4, 3, 2, 1)), (16, 4, (16, 12, 8, 4, 2, 1))],
)
def test_the_loaders_count(cores: int, loaders: int, expected: tuple[int, ...]) -> None:
    assert candidate_threads(cores, loaders=loaders) == expected


def test_the_fastest_is_taken_and_slower_ones_end_the_trial() -> None:
    trial = ThreadTrial((8, 4, 2, 1))
    (text,) = run(trial, {8: 0.9, 4: 0.1, 2: 0.2}, steps=12)  # one thread is not tried
    assert trial.chosen == torch.get_num_threads() == 4
    assert text == "using 4 of 8 threads (step with 8: 0.9 s, 4: 0.1 s, 2: 0.2 s)"


def test_the_choice_is_made_again_when_steps_take_twice_as_long() -> None:
    trial = ThreadTrial((2, 1), chosen=2)
    assert run(trial, {2: 0.1}, steps=40) == []
    assert run(trial, {2: 0.19}, steps=40) == []
    again, result = run(trial, {2: 0.9, 1: 0.15}, steps=40)
    assert "a step takes" in again
    assert "using 1 of 2 threads" in result
    assert trial.chosen == torch.get_num_threads() == 1


def test_another_kind_of_step_is_no_slower_one() -> None:
    trial = ThreadTrial((2, 1), chosen=2)
    run(trial, {2: 0.1}, steps=40)
    trial.forget_pace()
    assert run(trial, {2: 0.9}, steps=80) == []


@pytest.mark.usefixtures("four_cores")
def test_a_trial_starts_unless_threads_are_given(monkeypatch: pytest.MonkeyPatch) -> None:
    config = TrainerConfig()
    trial, text = start_trial(config, CPU, loaders=1)
    assert trial is not None
    assert torch.get_num_threads() == 4
    assert text == "trying 1 to 4 threads in the first steps"
    resumed, _ = start_trial(config, CPU, loaders=1, chosen=3)
    assert resumed is not None
    assert resumed.chosen == torch.get_num_threads() == 3
    assert start_trial(config, torch.device("cuda"), loaders=1) == (None, "")
    assert start_trial(TrainerConfig(threads=2), CPU, loaders=1)[0] is None
    assert torch.get_num_threads() == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert start_trial(config, CPU, loaders=1) == (None, "using 2 threads (OMP_NUM_THREADS=2)")


@pytest.mark.usefixtures("four_cores")
def test_processes_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    trial, text = start_trial(TrainerConfig(), CPU, loaders=1)
    assert trial is None
    assert text == "using 1 thread (one core for each process)"
