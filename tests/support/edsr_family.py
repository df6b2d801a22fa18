"""What tests of EDSR and of the networks that were made from it share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from vsrc.compressor.features.taps import open_taps

if TYPE_CHECKING:
    from support.golden import Golden


def check(golden: Golden, name: str, network: nn.Module, paths: list[str]) -> None:
    """Output and distilled features agree; the official networks work in 0..255."""
    stored = golden.tensors(name)
    with torch.no_grad(), open_taps(network.eval(), paths) as seen:
        output = network(stored["input"] / 255) * 255
    found = {f"feature{index}": seen[path] for index, path in enumerate(paths)}
    for key, tensor in {"output": output, **found}.items():
        atol = golden.tolerance(name, key)
        torch.testing.assert_close(tensor, stored[key], rtol=0, atol=atol)


def check_widths(golden: Golden, name: str, teacher: nn.Module, student: nn.Module) -> None:
    stored = golden.tensors(name)
    for key, network in (("output_w1", teacher), ("output_w0.25", student)):
        with torch.no_grad():
            output = network.eval()(stored["input"] / 255) * 255
        atol = golden.tolerance(name, key)
        torch.testing.assert_close(output, stored[key], rtol=0, atol=atol)


def by_basicsr(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Names of BasicSR."""
    names = {"head": "conv_first", "body_conv": "conv_after_body", "tail": "conv_last"}
    names |= {"upsampler": "upsample"}
    return {
        f"{names.get(key.partition('.')[0], 'body')}.{key.partition('.')[2]}": tensor
        for key, tensor in state.items()
    }
