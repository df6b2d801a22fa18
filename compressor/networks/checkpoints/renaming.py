"""Rename the tensors of a checkpoint from a foreign layout to ours.

A network whose published weights use other names has a method

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]

that `load_weights` calls first. It leaves unknown names unchanged, so that our own files pass
through and a wrong file is reported by its own names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class AdaptsCheckpoint(Protocol):
    """A network that converts checkpoints from the layouts its weights are published in."""

    def adapt_checkpoint(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Rename tensors from any known layout to ours."""


def rename(state: Mapping[str, Tensor], rules: Sequence[tuple[str, str]]) -> dict[str, Tensor]:
    r"""Apply to each name the first rule that matches all of it.

    Args:
        state: Tensors by name.
        rules: Regular expression and replacement (`\1` for a group). An empty replacement drops
            the tensor.
    """
    compiled = [(re.compile(pattern), replacement) for pattern, replacement in rules]
    renamed: dict[str, Tensor] = {}
    for key, tensor in state.items():
        new = _rename(key, compiled)
        if new:
            renamed[new] = tensor
    return renamed


def _rename(key: str, rules: Sequence[tuple[re.Pattern[str], str]]) -> str:
    for pattern, replacement in rules:
        if match := pattern.fullmatch(key):
            return match.expand(replacement)
    return key
