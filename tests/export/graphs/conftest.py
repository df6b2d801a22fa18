"""Tiny networks of the form of `edge`, traced; and ranges as calibration finds them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from vsrc.calibration.calibration_file import Calibration
from vsrc.calibration.convolutions import convolutions
from vsrc.export.graphs.graph_plan import plan_whole
from vsrc.export.graphs.to_onnx import to_onnx
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.spec import GraphIo


@pytest.fixture(scope="session")
def traced() -> Callable[..., tuple[onnx.ModelProto, object]]:
    """`traced(scale, graph_io)`: the fp32 graph of an untrained stacking `edge`, and the network.

    The graph is as torch exports it; copy it before a change.
    """
    import torch

    from vsrc.compressor.networks.loading.packaged import to_deployed
    from vsrc.compressor.networks.video.edge import edge

    @cache
    def trace(scale: int, graph_io: GraphIo = "uint8") -> tuple[onnx.ModelProto, object]:
        torch.manual_seed(scale)
        network = edge(features=8, blocks=1, scale=scale, window=3)
        extent = shape_range_of((), multiple=1)
        deployed = to_deployed(network)
        plan = plan_whole(deployed, network.spec, graph_io=graph_io, extent=extent)
        model = to_onnx(plan, network.spec, graph_io=graph_io, extent=extent, opset=18)
        return model, deployed

    return trace


@pytest.fixture(scope="session")
def observed() -> Callable[[onnx.ModelProto, NDArray[np.uint8]], Calibration]:
    """`observed(model, lr)`: exact ranges of one window, from all inputs and outputs."""

    def observe(model: onnx.ModelProto, lr: NDArray[np.uint8]) -> Calibration:
        listed = convolutions(model.graph)
        tensors = list(dict.fromkeys(itertools.chain(*((c.input, c.output) for c in listed))))
        widened = onnx.ModelProto()
        widened.CopyFrom(model)
        for name in tensors:
            widened.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
        session = onnxruntime.InferenceSession(
            widened.SerializeToString(), providers=["CPUExecutionProvider"]
        )
        values = dict(zip(tensors, session.run(tensors, {"lr": lr}), strict=True))

        def reach(name: str) -> tuple[float, float]:
            return float(values[name].min()), float(values[name].max())

        return Calibration(
            "minmax",
            ranges={conv.key: reach(conv.input) for conv in listed},
            outputs={conv.key: reach(conv.output) for conv in listed},
        )

    return observe
