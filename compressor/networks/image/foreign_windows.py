"""Window functions of spandrel's transformers, rewritten so that a traced batch stays free.

SwinIR, HAT, DRCT, DAT and their relatives find the batch of an image from its windows with
`int(windows.shape[0] / (H * W / window_size / window_size))`. While a graph is traced this becomes
a constant: a graph traced at batch 2 mixes channels at batch 1 and runs without an error. With
the channels known instead, which are constants, the batch is the free axis of the view.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from inspect import signature

from torch import Tensor, nn

_ARCHITECTURES = "spandrel.architectures."
_CALLS = {
    "window_reverse": ("windows", "window_size", "h", "w"),
    "windows2img": ("img_splits_hw", "h_sp", "w_sp", "h", "w"),
}
"""Parameters of the functions, in lower case; Uformer and GRL have others of the same name."""


def free_batch_of_windows(network: nn.Module) -> int:
    """Replace window functions in the modules that define a network of spandrel.

    Values do not change, so it holds for every network of these modules.

    Returns:
        Number of functions replaced now; 0 for networks without windows.
    """
    names = {type(module).__module__ for module in network.modules()}
    replaced = 0
    for name in names:
        if not name.startswith(_ARCHITECTURES):
            continue
        code = sys.modules[name]
        for function, exact in _EXACT.items():
            if (own := getattr(code, function, None)) and _parameters(own) == _CALLS[function]:
                setattr(code, function, exact)
                replaced += 1
    return replaced


def join_windows(windows: Tensor, window_size: int, h: int, w: int) -> Tensor:
    """Join square windows into images.

    Args:
        windows: `(N * windows, rows, columns, C)`.
        window_size: Rows and columns of a window.
        h: Rows of the image, a multiple of the window's.
        w: Columns of the image, a multiple of the window's.

    Returns:
        `(N, h, w, C)`.
    """
    return join_tokens(windows, window_size, window_size, h, w)


def join_tokens(windows: Tensor, rows: int, columns: int, h: int, w: int) -> Tensor:
    """Join windows, `(N * windows, rows * columns, C)` or four-dimensional, into `(N, h, w, C)`."""
    channels = windows.shape[-1]
    grid = windows.view(-1, h // rows, w // columns, rows, columns, channels)
    return grid.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, h, w, channels)


_EXACT = {"window_reverse": join_windows, "windows2img": join_tokens}


def _parameters(function: Callable[..., Tensor]) -> tuple[str, ...]:
    return tuple(name.lower() for name in signature(function).parameters)
