"""Every kind of network of the table goes through `vsrc export`, as pictures and of any size."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from torch import nn

from vsrc.compressor.networks import create, names
from vsrc.compressor.networks.deform import ModulatedDeformConv
from vsrc.compressor.networks.frame_encoder import FrameEncoder
from vsrc.compressor.networks.stdan import Stdan, StdanSize
from vsrc.compressor.networks.table import NETWORKS
from vsrc.compressor.taps import spec_of
from vsrc.compressor.zoo import ROWS
from vsrc.export.agreement import Run, halves_run, real_window, whole_run
from vsrc.export.export_config import ExportConfig
from vsrc.export.extent import extent_of
from vsrc.export.graph_export import export
from vsrc.export.graph_plan import GraphPlan, plan_halves
from vsrc.export.to_onnx import to_onnx
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    from vsrc.runtime.spec import Argument, GraphSpec

SMALL: dict[str, dict[str, Argument]] = {
    "edvr-xs": {"window": 3},
    "stdan": {},
    "imdn": {"scale": 2, "features": 16, "blocks": 1},
    "imdn-as": {"scale": 3, "features": 16, "blocks": 1},
    "imdn-rtc": {"blocks": 1},
    "imdn-rte": {"blocks": 1},
    "fsrcnn": {"scale": 3, "channels": 1, "features": 12, "shrunk": 6, "maps": 1},
    "edsr": {"blocks": 1, "features": 8},
    "rcan": {"groups": 1, "blocks": 1, "features": 16},
    "san": {"groups": 1, "blocks": 1, "features": 16},
    "vespcn": {},
    "vsrnet": {"scale": 2, "window": 3},
    "fastdvdnet": {},
    "edge-s": {"scale": 2, "window": 3},
}
"""The least of each kind; those of the table that are missing here differ in size alone."""

TEACHES_ONLY = ("fsrcnn-teacher",)

PYRAMIDS = ("edvr-xs", "stdan")
"""Their halves are traced at one size, which takes a third of the time; `test_halves` traces halves
with a pyramid at any size."""

GRAPHS = {row.name: row.graphs for row in ROWS}
"""What the zoo says that is written of each."""

SHAPE = ((16, 16), (32, 48), (64, 96))
SIZES = ((1, 16, 16), (1, 32, 48), (2, 64, 96))


def tiny_stdan(*, scale: int = 4, window: int = 2) -> Stdan:
    assert scale == 4
    size = StdanSize(8, 24, encoder_groups=0, reconstruct_groups=1, depth=2)
    return Stdan(size, window=window)


@pytest.fixture(autouse=True)
def small_stdan(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its constructor takes no size, and at its own it takes minutes to trace."""
    monkeypatch.setitem(NETWORKS, "stdan", tiny_stdan)


def lively(name: str) -> nn.Module:
    """A network whose features move and whose pictures are neither black nor white."""
    torch.manual_seed(0)
    network = create(name, **SMALL[name]).eval()
    for module in network.modules():
        if isinstance(module, ModulatedDeformConv):
            nn.init.normal_(module.conv_offset.weight, 0, 0.1)
    last = [m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d))][-1]
    if name in ("stdan", "imdn", "imdn-as", "imdn-rtc", "imdn-rte", "fsrcnn", "vespcn", "vsrnet"):
        grey = 127.0 if name == "imdn-rte" else 0.5  # the others add the enlarged frame, or a mean
        with torch.no_grad():
            last.get_parameter("bias").add_(grey)
    return network


def pictures_by_torch(network: nn.Module, lr: np.ndarray) -> np.ndarray:
    """The network on pictures, written out."""
    window = spec_of(network).window
    frames = torch.from_numpy(lr).permute(0, 1, 4, 2, 3).float() / 255
    with torch.no_grad():
        sr = network(frames if window > 1 else frames[:, 0])
    pictures = (sr * 255).clamp(0, 255).round().byte().movedim(-3, -1)
    return np.asarray(pictures)


def test_the_table_holds_no_other_kind() -> None:
    kinds = {type(create(name, **arguments)): GRAPHS[name] for name, arguments in SMALL.items()}
    for name in names():
        if name not in TEACHES_ONLY:
            with torch.device("meta"):
                assert kinds.get(type(create(name))) == GRAPHS[name], f"no test exports {name}"


@pytest.mark.slow
@pytest.mark.parametrize("name", SMALL)
def test_it_exports_and_builds(
    name: str, pack: Callable[..., Path], build_for_rtx: Callable[..., int]
) -> None:
    network = lively(name)
    spec = spec_of(network)
    result = export(ExportConfig(pack(network), shape=SHAPE, halves=name not in PYRAMIDS))
    whole, *pair = result.graphs
    written = GRAPHS[name] if name not in PYRAMIDS else GRAPHS[name][:1]
    assert tuple(one.graph.role for one in result.graphs) == written
    lr = np.repeat(real_window(spec.window, height=48, width=32), 2, axis=0)
    expected = pictures_by_torch(network, lr)
    assert np.mean((expected > 0) & (expected < 255)) > 0.9
    assert_same_pictures(whole_run(whole.file)(lr), expected)
    if pair:
        assert_same_pictures(run_of([one.file for one in pair], pair[0].graph)(lr), expected)
    for one in result.graphs:
        assert build_for_rtx(one.file, one.graph, SIZES) > 0


def run_of(files: list[Path], said: GraphSpec | GraphPlan) -> Run:
    return halves_run(*files, encoded_frames=said.encoded_frames, features=said.features)


def assert_same_pictures(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1 of 255; of float32 sums in another order few land on the other side of a half."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", PYRAMIDS)
def test_the_halves_of_networks_that_align_pyramids_give_the_whole(
    name: str, tmp_path: Path, build_for_rtx: Callable[..., int]
) -> None:
    network = lively(name)
    assert isinstance(network, FrameEncoder)
    spec, extent = spec_of(network), extent_of(((16, 24),), multiple=8)
    plans = plan_halves(network, spec, graph_io="uint8", extent=extent)
    assert tuple(plan.role for plan in plans) == GRAPHS[name][1:]
    files = []
    for plan in plans:
        model = to_onnx(plan, spec, graph_io="uint8", extent=extent, opset=18)
        files.append(tmp_path / f"{plan.role}.onnx")
        files[-1].write_bytes(model.SerializeToString())
        assert build_for_rtx(files[-1], plan, ()) > 0
    assert [feature.stride for feature in plan.features] == [1, 2, 4]
    taken = [value.name for value in model.graph.input]
    again = ["centre"] if name == "edvr-xs" else []  # STDAN does not look at the frames again
    assert taken == ["feature1", "feature2", "feature3", *again]
    lr = real_window(spec.window, height=16, width=24)
    assert_same_pictures(run_of(files, plan)(lr), pictures_by_torch(network, lr))


@pytest.mark.parametrize("name", TEACHES_ONLY)
def test_what_only_teaches_is_not_exported(name: str, pack: Callable[..., Path]) -> None:
    assert GRAPHS[name] == ()
    path = pack(create(name))
    with pytest.raises(MismatchError, match="so it can only teach"):
        export(ExportConfig(path))
    assert not (path / "graphs").exists()
