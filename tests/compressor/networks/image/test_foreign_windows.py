from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from vsrc.compressor.networks import create
from vsrc.compressor.networks.image.foreign_windows import join_tokens, join_windows


def test_windows_are_joined_where_they_were_cut() -> None:
    image = np.random.default_rng(0).normal(size=(3, 8, 12, 5)).astype(np.float32)
    cut = [
        image[n, row : row + 4, column : column + 2]
        for n in range(3)
        for row in range(0, 8, 4)
        for column in range(0, 12, 2)
    ]
    windows = torch.from_numpy(np.stack(cut))
    assert np.array_equal(join_tokens(windows, 4, 2, 8, 12), image)
    assert np.array_equal(join_tokens(windows.flatten(1, 2), 4, 2, 8, 12), image)
    square = torch.arange(4 * 4 * 3).view(4, 2, 2, 3)
    assert torch.equal(join_windows(square, 2, 4, 4)[0, :2, 2:], square[1])


@pytest.mark.filterwarnings("ignore")  # the exporter warns of its own internals
def test_a_graph_traced_at_batch_2_is_right_at_batch_1(
    small_swinir: nn.Module, tmp_path: Path
) -> None:
    with torch.no_grad():
        for weight in small_swinir.parameters():
            weight.mul_(3)  # so that the windows' part of the output is not rounding
    torch.save(small_swinir.state_dict(), tmp_path / "swinir.pth")
    image = create(f"spandrel:{tmp_path / 'swinir.pth'}")
    batch = torch.export.Dim("n", max=8)
    rows, columns = (4 * torch.export.Dim(name, min=2, max=64) for name in ("h", "w"))
    program = torch.onnx.export(
        image,
        (torch.rand(2, 3, 16, 24),),
        dynamo=True,
        input_names=["lr"],
        dynamic_shapes=({0: batch, 2: rows, 3: columns},),
        verbose=False,
    )
    assert program is not None
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for shape in ((1, 3, 16, 24), (3, 3, 20, 16)):
        lr = torch.rand(*shape)
        with torch.no_grad():
            expected = image(lr).numpy()
        (sr,) = session.run(None, {"lr": lr.numpy()})
        assert np.abs(sr - expected).max() < 1e-4  # rounding of another order
