"""The smallest frames that a network takes: reflected borders need as many pixels inside."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from vsrc.export.graphs.graph_plan import plan_whole
from vsrc.export.shape_range import ShapeRange
from vsrc.runtime.spec import NetworkSpec

if TYPE_CHECKING:
    from torch import nn

_SIDES = (8, 16, 32, 64, 128, 256)


def accepted_extent(network: nn.Module, spec: NetworkSpec, extent: ShapeRange) -> ShapeRange:
    """Begin the range of shapes at the smallest square frame that a network computes.

    The runtime pads smaller frames. A network that fails at all sizes tried keeps its range, so
    that the export says why.

    Args:
        network: Network in deployed form, on the CPU. One that pads small frames itself, and does
            not while it is exported, says in `least_side` to what.
        spec: Spec of the network.
        extent: Range of free shapes by the spec alone.
    """
    import torch

    if spec.state:
        return extent  # only networks of vsrc carry a state, and they take any size
    plan = plan_whole(network, spec, graph_io="float", extent=extent)
    assert plan.module is not None
    (example,), multiple = plan.examples, spec.size_multiple
    told = max(extent.height[0], getattr(network, "least_side", 0))
    sides = (-(-side // multiple) * multiple for side in (told, *_SIDES) if side >= told)
    for least in sides:
        try:
            with torch.no_grad():
                plan.module(torch.zeros(*example.shape[:-2], least, least))
        except Exception:
            continue
        return replace(extent, height=(least, extent.height[1]), width=(least, extent.width[1]))
    return extent
