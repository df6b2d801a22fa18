"""Measure what the spec of a foreign graph needs: halo, size multiple, parameters and work."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.export.foreign.form import FOREIGN, ForeignForm
from vsrc.export.foreign.original import OriginalGraph
from vsrc.export.multiply_accumulates import count_macs
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import NetworkSpec

if TYPE_CHECKING:
    import onnx

_MULTIPLES = (1, 2, 4, 8, 16, 32, 64)
_SIDES = (48, 96, 160)
"""LR pixels; the next one is tried where a change reaches the edge of the frame."""
_LEAST_HALO, _LARGEST_HALO = 16, 64
_SEEN = 0.25 / 255
"""Smallest change of an output value that a halo which is not exact has to cover."""
_AFFORDABLE_GMAC = 2000.0
_RUNS = 6


def describe_foreign(original: OriginalGraph, form: ForeignForm) -> NetworkSpec:
    """Build the spec of a foreign graph by running and counting it.

    Args:
        original: A float32 graph, from `normalise`.
        form: How it is fed.

    Raises:
        MismatchError: It runs on none of the tested sizes.
    """
    multiple = _size_multiple(original, form)
    gmac = _gmac_per_lr_pixel(original, form, multiple)
    halo, is_exact = _halo(original, form, multiple, gmac)
    return NetworkSpec(
        name=f"{FOREIGN}{original.name}",
        arguments=form.arguments(),
        scale=form.scale,
        window=form.window,
        halo=halo,
        halo_is_exact=is_exact,
        parameters=_parameters(original.model),
        gmac_per_lr_pixel=gmac,
        size_multiple=multiple,
        colour="y" if form.colour == "y" else "rgb",
    )


def _size_multiple(original: OriginalGraph, form: ForeignForm) -> int:
    """Least divisor of H and W that the graph accepts; 1 for a graph of one size."""
    free = [side is None for side in original.shape[-2:]]
    if not any(free):
        return 1
    reason = ""
    for multiple in _MULTIPLES:
        height, width = (multiple * (-(-20 // multiple) // 2 * 2 + odd) for odd in (1, 3))
        try:
            frames = _noise(original, form, height, width, seed=0)
            given = original.run(form.feed(frames))
        except MismatchError as error:
            reason = str(error)
            continue
        if given.shape[-2:] == tuple(form.scale * side for side in frames.shape[-2:]):
            return multiple
        reason = f"{original.name} gives {given.shape} for frames {frames.shape}"
    raise MismatchError(f"{reason}; it takes no multiple of 1 to 64 as height and width")


def _noise(
    original: OriginalGraph, form: ForeignForm, height: int, width: int, *, seed: int
) -> NDArray[np.float32]:
    height, width = (
        have or wanted for have, wanted in zip(original.shape[-2:], (height, width), strict=True)
    )
    generator = np.random.default_rng(seed)
    return generator.random((1, form.window, 3, height, width), dtype=np.float32)


def _halo(
    original: OriginalGraph, form: ForeignForm, multiple: int, gmac: float
) -> tuple[int, bool]:
    """Distance to which a change of one pixel spreads, and whether it ends there."""
    seen = _LEAST_HALO
    for least in _SIDES:
        side = -(-least // multiple) * multiple
        if side**2 * gmac * _RUNS > _AFFORDABLE_GMAC and least > _SIDES[0]:
            break
        changes, edge = _spread(original, form, side)
        reached = int(changes.nonzero()[0].max(initial=0))
        if reached < edge:
            return reached, True
        seen = int((changes > _SEEN).nonzero()[0].max(initial=0))
    return min(max(seen, _LEAST_HALO), _LARGEST_HALO), False


def _spread(
    original: OriginalGraph, form: ForeignForm, side: int
) -> tuple[NDArray[np.float32], int]:
    """Largest change of an output value by distance from the changed pixel, and the last one."""
    before = _noise(original, form, side, side, seed=0)
    height, width = before.shape[-2:]
    row, column = height // 2, width // 2
    rows, columns = (
        np.abs(np.arange(size * form.scale) // form.scale - at)
        for size, at in ((height, row), (width, column))
    )
    distance = np.maximum(rows[:, None], columns[None, :])
    edge = min(row, height - 1 - row, column, width - 1 - column)
    changes = np.zeros(edge + 1, np.float32)
    for seed in range(_RUNS // 2):
        before = _noise(original, form, side, side, seed=seed)
        after = before.copy()
        after[..., row, column] = np.where(after[..., row, column] < 0.5, 1.0, 0.0)
        old, new = (form.read(original.run(form.feed(each)), before) for each in (before, after))
        difference = np.abs(new - old).max(axis=(0, 1))
        np.maximum.at(changes, np.minimum(distance, edge), difference)
    return changes, edge


def _parameters(model: onnx.ModelProto) -> int:
    """Numbers in float constants with an axis of channels."""
    from onnx import TensorProto

    return sum(
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) > 1
    )


def _gmac_per_lr_pixel(original: OriginalGraph, form: ForeignForm, multiple: int) -> float:
    """Multiply-accumulates of convolutions and matrix products."""
    side = -(-64 // multiple) * multiple
    frames = _noise(original, form, side, side, seed=0)
    macs = count_macs(original.model, {original.input: form.feed(frames)})
    return sum(macs.values()) / math.prod(frames.shape[-2:]) / 1e9
