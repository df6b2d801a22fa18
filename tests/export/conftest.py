"""What tests of exported graphs share: packages of any network, and NVIDIA's parser and builder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from torch import nn

from vsrc.compressor.taps import spec_of
from vsrc.export.engine_build import BuildOrder, BuiltEngine, build_engine
from vsrc.export.graph_plan import GraphPlan
from vsrc.runtime.package import describe, new_folder, write_spec
from vsrc.runtime.spec import GraphSpec, ModelSpec, NetworkSpec, Precision


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
def build_for_rtx() -> Callable[..., BuiltEngine]:
    """`build_for_rtx(path, graph, sizes)`: an engine; no GPU is needed.

    `sizes` are least, usual and largest `(N, H, W)` of the frames, the profile of the engine; a
    graph of one size has none.
    """
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

    def build(
        path: Path,
        graph: GraphSpec | GraphPlan,
        sizes: tuple[tuple[int, int, int], ...],
        precision: Precision = "fp32",
    ) -> BuiltEngine:
        strides = {feature.name: feature.stride for feature in graph.features}

        def shapes_of(name: str, declared: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
            stride = strides.get(name, 1)
            shapes = [_shape_at(declared, stride, size) for size in sizes]
            return tuple(shapes) if sizes else (declared,)

        made = build_engine("trt-rtx", BuildOrder(path, precision, shapes_of, ("8.9",)))
        assert len(made.engine) > 1000
        return made

    return build


def _shape_at(
    declared: tuple[int, ...], stride: int, size: tuple[int, int, int]
) -> tuple[int, ...]:
    """Shape of an input for frames of a size: its free axes are N, then those of the picture."""
    batch, height, width = size
    free = iter((batch, height // stride, width // stride))
    shape = tuple(next(free) if side == -1 else side for side in declared)
    assert next(free, None) is None, f"an axis is fixed: {declared}"
    return shape
