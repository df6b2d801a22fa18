"""What tests of exported graphs share: packages of any network, and NVIDIA's parser and builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from vsrc.compressor.taps import spec_of
from vsrc.export.graph_plan import GraphPlan
from vsrc.runtime.package import describe, new_folder, write_spec
from vsrc.runtime.spec import GraphSpec, ModelSpec, NetworkSpec


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """`pack(network, spec)`: its package, not exported; `spec` where it is not the network's."""

    def write(network: nn.Module, spec: NetworkSpec | None = None) -> Path:
        from safetensors.torch import save_file

        path = tmp_path / "packed.vsrc"
        with new_folder(path, overwrite=True) as folder:
            state = {key: tensor.contiguous() for key, tensor in network.state_dict().items()}
            save_file(state, folder / "weights.safetensors")
            weights = describe(folder, "weights.safetensors")
            write_spec(folder, ModelSpec(spec or spec_of(network), weights, degradation="bi"))
        return path

    return write


@pytest.fixture(scope="session")
def build_for_rtx() -> Callable[..., int]:
    """`build_for_rtx(path, graph, sizes)`: bytes of the engine; no GPU is needed.

    `sizes` are least, usual and largest `(N, H, W)` of the frames, the profile of the engine; a
    graph of one size has none.
    """
    trt = pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

    def build(
        path: Path, graph: GraphSpec | GraphPlan, sizes: tuple[tuple[int, int, int], ...]
    ) -> int:
        logger = trt.Logger(trt.Logger.ERROR)
        builder = trt.Builder(logger)
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        parsed = parser.parse_from_file(str(path))
        assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
        config = builder.create_builder_config()
        if sizes:
            profile = builder.create_optimization_profile()
            for value in map(network.get_input, range(network.num_inputs)):
                profile.set_shape(value.name, *(_shape_at(value, graph, size) for size in sizes))
            config.add_optimization_profile(profile)
        engine = builder.build_serialized_network(network, config)
        return 0 if engine is None else int(engine.nbytes)

    return build


def _shape_at(value: Any, graph: GraphSpec | GraphPlan, size: tuple[int, int, int]) -> list[int]:  # noqa: ANN401  TensorRT's
    """Shape of an input for frames of a size: its free axes are N, then those of the picture."""
    stride = next((f.stride for f in graph.features if f.name == value.name), 1)
    batch, height, width = size
    free = iter((batch, height // stride, width // stride))
    shape = [next(free) if side == -1 else int(side) for side in value.shape]
    assert next(free, None) is None, f"{value.name} has a fixed axis: {tuple(value.shape)}"
    return shape
