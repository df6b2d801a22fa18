"""The state of a network in ONNX Runtime: zeros of the types that a graph takes, and steps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.backends.ort_run import run_graph
from vsrc.runtime.spec import StateSpec
from vsrc.runtime.windows.state_session import StateArrays

if TYPE_CHECKING:
    import onnxruntime


def zero_arrays(
    session: onnxruntime.InferenceSession,
    state: Sequence[StateSpec],
    *,
    count: int,
    height: int,
    width: int,
) -> StateArrays:
    """State at the start of a shot, for those maps that the graph reads.

    Args:
        session: Loaded graph, for the types of its inputs.
        state: State of the network.
        count: N, number of windows fed at once.
        height: H of the frames, LR pixels.
        width: W of the frames, LR pixels.
    """
    kinds = {value.name: value.type for value in session.get_inputs()}
    return {
        each.name: np.zeros(
            each.shape(height, width, count=count),
            np.float16 if kinds[each.name] == "tensor(float16)" else np.float32,
        )
        for each in state
        if each.name in kinds
    }


def iter_steps(
    session: onnxruntime.InferenceSession,
    windows: Sequence[NDArray[Any]],
    state: Sequence[StateSpec],
    *,
    outputs: Sequence[str] = (),
) -> Iterator[tuple[StateArrays, list[NDArray[Any]]]]:
    """Run the windows of one shot in order, each with the state after the one before.

    Args:
        session: Loaded graph with uint8 or float inputs.
        windows: Windows of consecutive frames, `(N, T, H, W, 3)` or `(N, T, 3, H, W)` each.
        state: State of the network; empty for one without.
        outputs: Outputs to return; empty for the first output of the graph.

    Yields:
        For each window the state that it was fed, and the requested outputs.
    """
    wanted = list(outputs) or [session.get_outputs()[0].name]
    following: StateArrays | None = None
    for lr in windows:
        height, width = lr.shape[2:4] if lr.dtype == np.uint8 else lr.shape[3:]
        fed = following or zero_arrays(session, state, count=len(lr), height=height, width=width)
        names = {f"next_{name}": name for name in fed}
        given = run_graph(session, [*wanted, *names], {"lr": np.ascontiguousarray(lr), **fed})
        following = dict(zip(names.values(), given[len(wanted) :], strict=True))
        yield fed, [np.asarray(value) for value in given[: len(wanted)]]
