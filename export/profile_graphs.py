"""Networks of the `edge` family with random weights, as packages whose speed can be measured.

A convolution takes as long with random weights as with taught ones, so a latency is known before
anything is taught.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from vsrc.runtime.profile_config import ProfileConfig, ProfileProgress, ProfileSize
from vsrc.runtime.spec import GraphSpec, ModelSpec

if TYPE_CHECKING:
    from vsrc.compressor.networks.edge import Edge

_OPSET = 18


def write_profile_packages(
    config: ProfileConfig, folder: Path, *, progress: Callable[[ProfileProgress], None]
) -> list[Path]:
    """Write a package with a graph for each size.

    Args:
        config: Which sizes, scale, window and precision.
        folder: Where; one folder is made for each.
        progress: Told before each.

    Returns:
        Their paths, in the order of the sizes.

    Raises:
        MissingDependencyError: torch, onnx, onnxscript or onnxsim is missing.
    """
    paths = []
    for index, size in enumerate(config.sizes):
        progress(ProfileProgress("graphs", index, len(config.sizes), str(size)))
        paths.append(_write_package(size, config, folder / f"{size}.vsrc"))
    return paths


def _write_package(size: ProfileSize, config: ProfileConfig, path: Path) -> Path:
    import torch
    from safetensors.torch import save_file

    from vsrc.compressor.networks.edge import Edge, EdgeSize
    from vsrc.runtime.package import describe, new_folder, write_spec

    torch.manual_seed(0)
    widths = EdgeSize(size.encoded, size.features, size.blocks)
    network = Edge(widths, scale=config.scale, window=config.window, name="edge").eval()
    with new_folder(path, overwrite=False) as draft:
        save_file(network.state_dict(), draft / "weights.safetensors")
        (draft / "graphs").mkdir()
        graph = _write_graph(network, config, draft)
        spec = ModelSpec(
            network=network.spec,
            weights=describe(draft, "weights.safetensors"),
            degradation="none",
            graphs={config.precision: graph},
        )
        write_spec(draft, spec)
    return path


def _write_graph(network: Edge, config: ProfileConfig, folder: Path) -> GraphSpec:
    from vsrc.export.extent import extent_of
    from vsrc.export.graph_plan import plan_whole
    from vsrc.export.to_onnx import to_onnx
    from vsrc.runtime.package import describe

    extent = extent_of((), multiple=network.spec.size_multiple)
    plan = plan_whole(network.collapsed().eval(), network.spec, graph_io="uint8", extent=extent)
    model = to_onnx(plan, network.spec, graph_io="uint8", extent=extent, opset=_OPSET)
    name = f"graphs/{config.precision}.onnx"
    (folder / name).write_bytes(model.SerializeToString())
    return GraphSpec(
        **vars(describe(folder, name)),
        precision="fp32",
        io="uint8",
        opset=_OPSET,
        height=extent.height,
        width=extent.width,
        batch=extent.batch,
    )
