"""Networks of the `edge` family with random weights, as packages whose speed can be measured.

A convolution takes as long with random weights as with trained ones, and in int8 with any ranges,
so latency is known before training.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.latency.profile.config import ProfileConfig, ProfileProgress
from vsrc.runtime.spec import GraphSpec, ModelSpec

if TYPE_CHECKING:
    import onnx

    from vsrc.calibration.calibration_file import Calibration
    from vsrc.compressor.networks.video.edge import Edge

_OPSET = 18
_SIDE = 32  # side of the window for the overflow check of half precision, LR pixels


def write_profile_packages(
    config: ProfileConfig, folder: Path, *, progress: Callable[[ProfileProgress], None]
) -> list[Path]:
    """Write a package with a graph for each size.

    Args:
        config: Sizes, scale, window and precision.
        folder: Output folder; one subfolder per size.
        progress: Called before each size.

    Returns:
        Paths of the packages, in the order of the sizes.

    Raises:
        MissingDependencyError: torch, onnx, onnxscript or onnxsim is missing.
    """
    paths = []
    for index, size in enumerate(config.sizes):
        progress(ProfileProgress("graphs", index, len(config.sizes), str(size)))
        paths.append(_write_package(size, config, folder / f"{size}.vsrc"))
    return paths


def _write_package(size: EdgeSize, config: ProfileConfig, path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    from vsrc.compressor.networks.video.edge import build_edge
    from vsrc.runtime.package import describe_file, new_folder, write_spec

    torch.manual_seed(0)
    network = build_edge(size, scale=config.scale, window=config.window, name="edge").eval()
    with new_folder(path, overwrite=False) as draft:
        save_file(network.state_dict(), draft / "weights.safetensors")
        (draft / "graphs").mkdir()
        graph = _write_graph(network, config, draft)
        spec = ModelSpec(
            network=network.spec,
            weights=describe_file(draft, "weights.safetensors"),
            degradation="none",
            graphs={config.precision: graph},
        )
        write_spec(draft, spec)
    return path


def _write_graph(network: Edge, config: ProfileConfig, folder: Path) -> GraphSpec:
    from vsrc.export.graphs.bilinear_skip import fold_bilinear_skip
    from vsrc.export.graphs.graph_plan import plan_whole
    from vsrc.export.graphs.to_onnx import to_onnx
    from vsrc.export.graphs.typed_graphs import TypedGraph, in_precision, opset_of
    from vsrc.export.shape_range import shape_range_of
    from vsrc.runtime.package import describe_file

    extent = shape_range_of((), multiple=network.spec.size_multiple)
    plan = plan_whole(network.collapsed().eval(), network.spec, graph_io="uint8", extent=extent)
    traced = to_onnx(plan, network.spec, graph_io="uint8", extent=extent, opset=_OPSET)
    fold_bilinear_skip(traced)
    (typed,) = in_precision(
        [TypedGraph(plan, traced)],
        config.precision,
        frames=_noise(config.window),
        calibration=_made_up_ranges(traced),
    )
    name = f"graphs/{config.precision}.onnx"
    (folder / name).write_bytes(typed.model.SerializeToString())
    return GraphSpec(
        **vars(describe_file(folder, name)),
        precision=config.precision,
        io="uint8",
        opset=opset_of(typed.model),
        height=extent.height,
        width=extent.width,
        batch=extent.batch,
    )


def _noise(window: int) -> NDArray[np.uint8]:
    shape = (1, window, _SIDE, _SIDE, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _made_up_ranges(traced: onnx.ModelProto) -> Calibration:
    """Make arbitrary ranges: the latency of int8 does not depend on them."""
    from vsrc.calibration.calibration_file import Calibration
    from vsrc.calibration.convolutions import convolutions

    keys = [convolution.key for convolution in convolutions(traced.graph)]
    inputs, outputs = dict.fromkeys(keys, (0.0, 1.0)), dict.fromkeys(keys, (-1.0, 1.0))
    return Calibration(method="made up", ranges=inputs, outputs=outputs)
