"""What graphs are compared with: the network in torch, or a foreign graph as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.export.foreign.form import ForeignForm
from vsrc.export.foreign.original import OriginalGraph
from vsrc.export.graphs.check_frames import Array
from vsrc.runtime.spec import GraphIo, GraphLayout, NetworkSpec

if TYPE_CHECKING:
    from torch import nn

    from vsrc.export.graphs.picture_network import Ends


@dataclass(frozen=True)
class Reference:
    """The network that graphs must agree with.

    Attributes:
        name: Name for messages ("torch").
        answer: Function from frames in a graph's input format to `(N, ..., 3, sH, sW)` in 0..255,
            clipped, not rounded.
    """

    name: str
    answer: Callable[[Array], NDArray[np.float32]]


def torch_reference(
    network: nn.Module, spec: NetworkSpec, *, graph_io: GraphIo, layout: GraphLayout
) -> Reference:
    """Run the network in torch, in float32; a state is carried over the windows of a shot."""
    from vsrc.export.graphs.picture_network import ENDS, Ends, WholeGraph

    ends = Ends(ENDS[graph_io].enter, ENDS["float"].leave)
    if spec.state:
        return Reference("torch", lambda fed: _answer_in_order(network, spec, fed, ends))
    whole = WholeGraph(network, ends, window=spec.window, layout=layout).eval()

    def answer(fed: Array) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            given: NDArray[np.float32] = (whole(torch.from_numpy(fed)) * 255.0).numpy()
        return given

    return Reference("torch", answer)


def _answer_in_order(
    network: nn.Module, spec: NetworkSpec, fed: Array, ends: Ends
) -> NDArray[np.float32]:
    import torch

    from vsrc.compressor.networks.layers.carried_state import zero_state
    from vsrc.export.graphs.picture_network import StepGraph

    step = StepGraph(network, ends).eval()
    windows = [torch.from_numpy(fed[at : at + 1]) for at in range(len(fed))]
    state = zero_state(spec, ends.enter(windows[0]))
    answers = []
    with torch.inference_mode():
        for lr in windows:
            sr, *following = step(lr, state)
            state = tuple(following)
            answers.append((sr * 255.0).numpy())
    return np.concatenate(answers)


def foreign_reference(
    original: OriginalGraph, form: ForeignForm, *, graph_io: GraphIo, layout: GraphLayout
) -> Reference:
    """Run a foreign graph as it is, with frames converted by NumPy."""

    def answer(fed: Array) -> NDArray[np.float32]:
        if graph_io == "uint8":
            frames = np.moveaxis(fed, -1, 2).astype(np.float32) / np.float32(255)
        else:
            frames = fed.astype(np.float32)
            if layout == "stacked":
                frames = frames.reshape(len(fed), form.window, 3, *fed.shape[-2:])
        sr = form.read(original.run(form.feed(frames)), frames)
        return np.clip(sr, 0, 1) * np.float32(255)

    return Reference("the original graph", answer)
