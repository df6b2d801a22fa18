"""What tests of exported graphs share: packages of any network, and NVIDIA's parser and builder."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from vsrc.export.engines.engine_build import BuildOrder, BuiltEngine, build_engine, shapes_for
from vsrc.export.graphs.graph_plan import GraphPlan
from vsrc.runtime.spec import GraphSpec, Precision, StateSpec


@pytest.fixture
def copy(untrained_package: Path, tmp_path: Path) -> Path:
    """A package that is not exported yet, to be changed."""
    return Path(shutil.copytree(untrained_package, tmp_path / "copy.vsrc"))


@pytest.fixture
def pack(tmp_path: Path) -> Callable[..., Path]:
    """`pack(network)`: its package, not exported."""
    from vsrc.compressor.network_package import write_package

    return partial(write_package, path=tmp_path / "packed.vsrc")


@pytest.fixture(scope="session")
def build_for_rtx() -> Callable[..., BuiltEngine]:
    """`build_for_rtx(path, graph, sizes)`: an engine; no GPU is needed.

    `sizes` are least, usual and largest `(N, H, W)` of the frames, the profile of the engine; a
    graph of one size has none. `state` is that of its network.
    """
    pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

    def build(
        path: Path,
        graph: GraphSpec | GraphPlan,
        sizes: tuple[tuple[int, int, int], ...],
        precision: Precision = "fp32",
        state: tuple[StateSpec, ...] = (),
    ) -> BuiltEngine:
        shapes_of = shapes_for([*graph.features, *state], sizes)
        made = build_engine("trt-rtx", BuildOrder(path, precision, shapes_of, ("8.9",)))
        assert len(made.engine) > 1000
        return made

    return build
