"""The official IMDN through `vsrc eval`'s own path: files, LR twins, metrics, means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from vsrc.compressor.networks import create, load_weights
from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.quality.eval_data import EvalClip, plan_lr
from vsrc.runtime.quality.evaluation import METRIC_KINDS, by_session, score_upscaler
from vsrc.runtime.spec import GraphSpec, NetworkSpec

if TYPE_CHECKING:
    from torch import nn


class TorchSession:
    """An image network of torch behind the `Session` protocol."""

    label = "torch"
    graph = GraphSpec("none", "", 0, "fp32", "uint8", 18, (1, 9999), (1, 9999), (1, 99))

    def __init__(self, network: nn.Module) -> None:
        spec: object = network.spec
        assert isinstance(spec, NetworkSpec)
        self.network = spec
        self._module = network.eval()

    def __call__(self, lr: NDArray[np.uint8], /) -> NDArray[np.uint8]:
        x = torch.from_numpy(lr[:, 0].copy()).permute(0, 3, 1, 2) / 255
        with torch.inference_mode():
            sr = self._module(x).clamp(0, 1).mul(255).round().byte()
        return np.asarray(sr.permute(0, 2, 3, 1).numpy())

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("data", "decibels", "likeness"),
    [
        ("set5_x4", 32.211, 0.8948),
        pytest.param("set14_x4", 28.587, 0.7811, marks=pytest.mark.slow),
    ],
)
def test_imdn_scores_as_published(
    reference: Path, data: str, decibels: float, likeness: float
) -> None:
    network = create("imdn", scale=4)
    load_weights(network, reference / "weights" / "imdn_x4.pth")
    layout = find_clips(reference / "data" / data)
    plan = plan_lr(layout, wanted="given", trained_for="bi", scale=4)
    clips = [EvalClip(source, plan, most=0) for source in layout.clips]
    kinds = {name: METRIC_KINDS[name] for name in ("psnr", "ssim")}
    mean = score_upscaler(by_session("imdn", TorchSession(network)), clips, kinds, border=4).mean
    assert mean["psnr_y"] == pytest.approx(decibels, abs=2e-3)
    assert mean["ssim_y"] == pytest.approx(likeness, abs=1.5e-4)
