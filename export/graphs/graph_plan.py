"""Inputs, outputs, example inputs and dynamic axes of each graph of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import FeatureSpec, GraphIo, GraphLayout, GraphRole, NetworkSpec, StateSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

    from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder

_TRACED_SIDE = 16
"""Minimum side to trace with, LR pixels."""


@dataclass(frozen=True)
class GraphPlan:
    """Plan of one graph.

    Attributes:
        role: Whole network, encode or fuse.
        module: Module to trace; None for a graph that is not traced.
        examples: Small example arguments.
        free: Dynamic axes of each argument, in `torch.export`'s form.
        inputs: Names of the inputs, in the order of the arguments.
        outputs: Names of the outputs.
        encoded_frames: See `GraphSpec`.
        features: See `GraphSpec`.
        state: State that the graph takes and returns.
    """

    role: GraphRole
    module: nn.Module | None
    examples: tuple[Any, ...]
    free: tuple[Any, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    encoded_frames: int = 1
    features: tuple[FeatureSpec, ...] = ()
    state: tuple[StateSpec, ...] = ()

    @property
    def maps(self) -> list[str]:
        """Names of the feature maps among its inputs and outputs, which are no pictures."""
        names = [name for each in self.state for name in (each.name, each.next_name)]
        return [feature.name for feature in self.features] + names


def plan_whole(
    network: nn.Module,
    spec: NetworkSpec,
    *,
    graph_io: GraphIo,
    extent: ShapeRange,
    layout: GraphLayout = "window",
) -> GraphPlan:
    """Plan the graph that takes windows, and the state of a network that has one.

    Args:
        network: Network in deployed form, on the CPU.
        spec: Spec of the network.
        graph_io: Type of inputs and outputs: uint8 images or float tensors.
        extent: Shapes that the graph must accept.
        layout: Axes of float frames, as in `GraphSpec`.
    """
    from vsrc.export.graphs.picture_network import ENDS, StepGraph, WholeGraph

    axes = _Axes.of(extent, multiple=spec.size_multiple)
    if layout == "stacked":
        example, free = axes.stacked(spec.window)
    else:
        example, free = axes.frames((spec.window,), graph_io)
    if spec.state:
        maps = [axes.state(each) for each in spec.state]
        return GraphPlan(
            "whole",
            StepGraph(network, ENDS[graph_io]).eval(),
            (example, tuple(zeros for zeros, _ in maps)),
            (free, tuple(axes_of_map for _, axes_of_map in maps)),
            ("lr", *(each.name for each in spec.state)),
            ("sr", *(each.next_name for each in spec.state)),
            state=spec.state,
        )
    module = WholeGraph(network, ENDS[graph_io], window=spec.window, layout=layout)
    return GraphPlan("whole", module.eval(), (example,), (free,), ("lr",), ("sr",))


def plan_halves(
    network: FrameEncoder, spec: NetworkSpec, *, graph_io: GraphIo, extent: ShapeRange
) -> tuple[GraphPlan, GraphPlan]:
    """Plan the encode and the fuse graph; arguments as in `plan_whole`.

    Raises:
        MismatchError: The size of a feature map is not a fraction of the frame size.
    """
    from vsrc.compressor.networks.layers.frame_encoder import count_encoded_runs
    from vsrc.export.graphs.picture_network import ENDS, EncodeGraph, FuseGraph

    ends, count = ENDS[graph_io], network.encoded_frames
    axes = _Axes.of(extent, multiple=spec.size_multiple)
    run, free_run = axes.frames((count,) if count > 1 else (), graph_io)
    encoder = EncodeGraph(network, ends).eval()
    features = _feature_specs(encoder, run, spec, side=axes.height.size)
    names = tuple(feature.name for feature in features)
    runs = count_encoded_runs(spec.window, encoded_frames=count)
    maps = [axes.maps(feature, runs) for feature in features]
    centre, free_centre = axes.frames((), graph_io)
    encode = GraphPlan("encode", encoder, (run,), (free_run,), ("lr",), names, count, features)
    fuse = GraphPlan(
        "fuse",
        FuseGraph(network, ends).eval(),
        (tuple(example for example, _ in maps), centre),
        (tuple(free for _, free in maps), free_centre),
        (*names, "centre"),
        ("sr",),
        count,
        features,
    )
    return encode, fuse


@dataclass(frozen=True)
class _Axis:
    """One axis: its length for tracing, and a symbol of its number of blocks unless fixed.

    `torch.export` accepts a length only as an integer times a symbol, so a side that is a
    multiple of 4 is `4 * h_blocks`, and that of a map half as large `2 * h_blocks`.
    """

    size: int
    block: int = 1
    symbol: Any = None

    def over(self, stride: int) -> tuple[int, Any]:
        """Length and symbol of an axis that is shorter by `stride`."""
        if self.symbol is None or self.block == stride:
            return self.size // stride, self.symbol
        return self.size // stride, (self.block // stride) * self.symbol


@dataclass(frozen=True)
class _Axes:
    """Axes N, H and W of a graph's frames."""

    batch: _Axis
    height: _Axis
    width: _Axis

    @staticmethod
    def of(extent: ShapeRange, *, multiple: int) -> _Axes:
        """Choose small, unequal lengths above 1, so that none is specialised to a constant."""
        from torch.export import Dim

        least = max(-(-_TRACED_SIDE // multiple), 2)
        low, high = extent.batch
        batch = _Axis(low) if low == high else _Axis(2, 1, Dim("n", min=low, max=high))
        sides = []
        for name, (low, high), blocks in (("h", extent.height, 0), ("w", extent.width, 1)):
            if low == high:
                sides.append(_Axis(low, multiple))
                continue
            size = min(max((least + blocks) * multiple, low), high)
            symbol = name if multiple == 1 else f"{name}_blocks"
            dim = Dim(symbol, min=low // multiple, max=high // multiple)
            sides.append(_Axis(size, multiple, dim))
        return _Axes(batch, *sides)

    def frames(self, between: tuple[int, ...], graph_io: GraphIo) -> tuple[Tensor, dict[int, Any]]:
        """Example of frames, with axes `between` after N, and its dynamic axes."""
        import torch

        middle = [(size, None) for size in between]
        sides = [self.height.over(1), self.width.over(1)]
        if graph_io == "uint8":
            return _argument([self.batch.over(1), *middle, *sides, (3, None)], torch.uint8)
        return _argument([self.batch.over(1), *middle, (3, None), *sides], torch.float32)

    def stacked(self, window: int) -> tuple[Tensor, dict[int, Any]]:
        """Example of a window's frames stacked in the channels, and its dynamic axes."""
        import torch

        sides = [self.height.over(1), self.width.over(1)]
        return _argument([self.batch.over(1), (3 * window, None), *sides], torch.float32)

    def maps(self, feature: FeatureSpec, runs: int) -> tuple[Tensor, dict[int, Any]]:
        """Example of a window's maps, `(N, runs, C, h, w)`, and its dynamic axes."""
        import torch

        sides = [self.height.over(feature.stride), self.width.over(feature.stride)]
        fixed = [(runs, None), (feature.channels, None)]
        return _argument([self.batch.over(1), *fixed, *sides], torch.float32)

    def state(self, state: StateSpec) -> tuple[Tensor, dict[int, Any]]:
        """Example of a map of the state, `(N, C, h, w)`, and its dynamic axes."""
        import torch

        sides = [self.height.over(state.stride), self.width.over(state.stride)]
        return _argument([self.batch.over(1), (state.channels, None), *sides], torch.float32)


def _argument(axes: Sequence[tuple[int, Any]], dtype: Any) -> tuple[Tensor, dict[int, Any]]:  # noqa: ANN401  torch is not imported here
    import torch

    example = torch.zeros([size for size, _ in axes], dtype=dtype)
    return example, {at: symbol for at, (_, symbol) in enumerate(axes) if symbol is not None}


def _feature_specs(
    encoder: nn.Module, run: Tensor, spec: NetworkSpec, *, side: int
) -> tuple[FeatureSpec, ...]:
    """Find channels and stride of each map by encoding once."""
    import torch

    with torch.no_grad():
        maps = encoder(run)
    specs = []
    for number, feature in enumerate(maps, start=1):
        stride, rest = divmod(side, feature.shape[2])
        if rest or spec.size_multiple % stride:
            raise MismatchError(
                f"feature map {number} of {spec.name} has {feature.shape[2]} rows for a frame of "
                f"{side}; expected an integer fraction of the frame, whose denominator divides "
                f"size_multiple={spec.size_multiple}"
            )
        specs.append(FeatureSpec(f"feature{number}", feature.shape[1], stride))
    return tuple(specs)
