from __future__ import annotations

from itertools import islice
from typing import cast

import numpy as np
import pytest
import torch

from vsrc.compressor.batches import batches_from
from vsrc.compressor.data.dataset import ClipDataset, ClipItem


class Numbered:
    """Item i is a clip whose every byte is i."""

    def __getitem__(self, index: int) -> ClipItem:
        picture = torch.from_numpy(np.full((2, 3, 4, 4), index, np.uint8))
        return ClipItem(picture, picture, f"item {index}")


def sources(
    start: int, *, process: int, processes: int, batch: int = 2, count: int = 3
) -> list[str]:
    stream = batches_from(
        start,
        dataset=cast("ClipDataset", Numbered()),
        batch=batch,
        process=process,
        processes=processes,
        workers=0,
    )
    return [source for found in islice(stream, count) for source in found.sources]


def test_two_processes_see_what_one_sees_with_twice_the_batch() -> None:
    left = sources(4, process=0, processes=2)
    right = sources(4, process=1, processes=2)
    pairs = [(left[i : i + 2], right[i : i + 2]) for i in range(0, 6, 2)]
    together = [source for pair in pairs for part in pair for source in part]
    assert together == sources(4, process=0, processes=1, batch=4)


def test_a_later_start_goes_on_where_an_earlier_one_would_be() -> None:
    assert sources(0, process=0, processes=1)[4:] == sources(2, process=0, processes=1, count=1)


@pytest.mark.parametrize("workers", [0, 1])
def test_bytes_become_floats_in_order(workers: int) -> None:
    stream = batches_from(
        0,
        dataset=cast("ClipDataset", Numbered()),
        batch=1,
        process=0,
        processes=1,
        workers=workers,
    )
    values = [batch.lr.mean().item() * 255 for batch in islice(stream, 4)]
    assert values == pytest.approx([0, 1, 2, 3])
