"""The check of results on the device, judged by that of the CPU."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from support.optional import skip_without
from vsrc.export.graphs.guard_graph import guard_graph
from vsrc.runtime.windows.guard import is_corrupted

Bytes = NDArray[np.uint8]

SIZE = (13, 21)


def cases(scale: int) -> list[tuple[Bytes, Bytes]]:
    """Results with black and white regions of all sizes, over sources near and far from these."""
    rng = np.random.default_rng(scale)
    made = []
    for at in range(240):
        low, high = [(0, 256), (32, 34), (33, 223), (222, 225), (0, 40)][at % 5]
        lr = rng.integers(low, high, (*SIZE, 3)).astype(np.uint8)
        sr = lr.repeat(scale, 0).repeat(scale, 1)
        rows, columns = rng.integers(3, 6, 2) * scale - rng.integers(0, 2, 2)
        top, left = (rng.integers(0, side - 3) * scale for side in SIZE)
        channel = int(rng.integers(0, 3))
        channels = slice(channel, channel + 1) if at % 2 else slice(0, 3)
        sr[top : top + rows, left : left + columns, channels] = rng.choice([0, 255, 0, 255, 1, 254])
        made.append((lr, sr))
    return made


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_it_finds_what_the_cpu_finds(scale: int) -> None:
    skip_without("onnxruntime")
    import onnxruntime

    session = onnxruntime.InferenceSession(guard_graph(scale).SerializeToString())
    expected = [is_corrupted(sr, [lr]) for lr, sr in cases(scale)]
    found = [session.run(None, {"lr": lr, "sr": sr})[0] for lr, sr in cases(scale)]
    assert 10 < sum(expected) < len(expected) - 10
    assert {one.shape for one in found} == {(1,)}
    assert [int(one[0]) for one in found] == expected
