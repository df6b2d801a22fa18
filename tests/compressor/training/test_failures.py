from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from vsrc.compressor.training.config import TrainerConfig
from vsrc.compressor.training.failures import FailurePlace, smaller_batch_advice, training_error
from vsrc.runtime.errors import DataError

PLACE = FailurePlace(
    step=7,
    sources=("a@0", "b@3", "a@0"),
    checkpoint=Path("run/step-00000005"),
    config=TrainerConfig(batch=6),
)


def allocation_error() -> RuntimeError:
    """Torch's own, of more memory than any machine has."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(10**15)
    return caught.value


@pytest.mark.parametrize("error", [allocation_error(), MemoryError(), torch.OutOfMemoryError("?")])
def test_memory_that_runs_out_asks_for_smaller_batches(error: Exception) -> None:
    text = str(training_error(error, PLACE))
    assert text.startswith("step 7: out of memory (")
    assert "on a@0, b@3; last good checkpoint: run/step-00000005" in text
    assert "--set batch=3 --set accumulate=2" in text
    assert "--resume" in text


@pytest.mark.parametrize(
    ("batch", "accumulate", "advice"),
    [
        (8, 1, "batch=4 --set accumulate=2"),
        (9, 2, "batch=3 --set accumulate=6"),
        (7, 1, "batch=1 --set accumulate=7"),
        (1, 1, "patch="),
    ],
)
def test_an_update_keeps_its_clips(batch: int, accumulate: int, advice: str) -> None:
    assert advice in smaller_batch_advice(TrainerConfig(batch=batch, accumulate=accumulate))


def test_a_lost_process_is_not_taken_for_an_error_of_this_one() -> None:
    error = RuntimeError("[gloo/transport/tcp/pair.cc:537] Connection closed by peer [::1]:1")
    several = replace(PLACE, process=1, processes=2)
    assert "step 7, process 1 of 2: the connection to another" in str(
        training_error(error, several)
    )
    assert "RuntimeError: [gloo" in str(training_error(error, PLACE))


def test_other_errors_keep_their_words_in_one_line() -> None:
    text = str(training_error(RuntimeError("shapes\n  differ"), replace(PLACE, checkpoint=None)))
    assert "step 7: RuntimeError: shapes differ on a@0, b@3; last good checkpoint: none" in text
    assert "vsrc -v distill" in text
    assert "step 7: a@0 is gone on" in str(training_error(DataError("a@0 is gone"), PLACE))
