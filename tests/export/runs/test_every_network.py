"""Every kind of network of the table goes through `vsrc export` and through NVIDIA's builder.

Traced are: pictures of any size, and float tensors of one size; each becomes fp32, fp16 and int8,
and all three are parsed and built. How frames enter and leave is the same code for all networks, so
the other two mixes are tried on one network of frames and one of windows.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from vsrc.calibration.calibration_file import Calibration
from vsrc.calibration.convolutions import convolutions
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create, names
from vsrc.compressor.networks.layers.carried_state import run_step, zero_state
from vsrc.compressor.networks.layers.deform import ModulatedDeformConv
from vsrc.compressor.networks.layers.frame_encoder import FrameEncoder
from vsrc.compressor.networks.table import NETWORKS
from vsrc.compressor.networks.video.stdan import Stdan, StdanSize
from vsrc.compressor.zoo import ROWS
from vsrc.export.checks.agreement import Run, halves_run, steps_run, whole_run
from vsrc.export.checks.tensorrt_operators import find_refused_operators
from vsrc.export.config import ExportConfig
from vsrc.export.engines.engine_build import BuiltEngine
from vsrc.export.graphs.check_frames import real_window
from vsrc.export.graphs.graph_plan import GraphPlan, plan_halves, plan_whole
from vsrc.export.graphs.half import to_half
from vsrc.export.graphs.quantise import int8_graph
from vsrc.export.graphs.to_onnx import to_onnx
from vsrc.export.runs.exporting import export
from vsrc.export.shape_range import shape_range_of
from vsrc.runtime.errors import MismatchError

if TYPE_CHECKING:
    from vsrc.runtime.spec import Argument, GraphIo, GraphSpec, StateSpec

SMALL: dict[str, dict[str, Argument]] = {
    "edvr-xs": {"window": 3},
    "stdan": {},
    "imdn": {"scale": 2, "features": 16, "blocks": 1},
    "imdn-as": {"scale": 3, "features": 16, "blocks": 1},
    "imdn-rtc": {"blocks": 1},
    "imdn-rte": {"blocks": 1},
    "rlfn": {"scale": 2, "features": 16, "blocks": 1, "squeezed": 4},
    "mobile-rrn": {"scale": 2, "features": 8, "blocks": 1, "window": 3},
    "etds": {"scale": 3, "features": 8, "blocks": 1},
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

BOTH_ENDS = ("imdn", "edge-s")

HALVES_OF_ONE_SIZE = {"edvr-xs": [1, 2, 4], "stdan": [1, 2, 4], "fastdvdnet": [1]}
"""Strides of the features of those whose halves are traced at one size, which takes a third of the
time; `test_halves` traces halves with a pyramid at any size."""

GRAPHS = {row.name: row.graphs for row in ROWS}
"""What the zoo says that is written of each."""

NEAR_BLACK = (
    *("stdan", "imdn", "imdn-as", "imdn-rtc", "imdn-rte", "rlfn"),
    *("etds", "fsrcnn", "vespcn", "vsrnet"),
)
"""Those that with fresh weights give pictures around zero."""

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
    if name in NEAR_BLACK:
        grey = (
            127.0 if name in ("imdn-rte", "rlfn") else 0.5
        )  # the others add the enlarged frame, or a mean
        with torch.no_grad():
            last.get_parameter("bias").add_(grey)
    return network


def pictures_by_torch(network: nn.Module, lr: np.ndarray) -> np.ndarray:
    """The network on pictures, written out."""
    spec = spec_of(network)
    frames = torch.from_numpy(lr).permute(0, 1, 4, 2, 3).float() / 255
    with torch.no_grad():
        if spec.state:
            sr, _ = run_step(network, frames, zero_state(spec, frames))
        else:
            sr = network(frames if spec.window > 1 else frames[:, 0])
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
    name: str, pack: Callable[..., Path], build_for_rtx: Callable[..., BuiltEngine]
) -> None:
    network = lively(name)
    spec = spec_of(network)
    result = export(ExportConfig(pack(network), shape=SHAPE, halves=name not in HALVES_OF_ONE_SIZE))
    whole, *pair = result.graphs
    written = GRAPHS[name] if name not in HALVES_OF_ONE_SIZE else GRAPHS[name][:1]
    assert tuple(one.graph.role for one in result.graphs) == written
    lr = np.repeat(real_window(spec.window, height=48, width=32), 2, axis=0)
    expected = pictures_by_torch(network, lr)
    assert np.mean((expected > 0) & (expected < 255)) > 0.9
    run_whole = partial(steps_run, state=spec.state) if spec.state else whole_run
    assert_same_pictures(run_each(run_whole(whole.file), lr), expected)
    if pair:
        assert_same_pictures(run_of([one.file for one in pair], pair[0].graph)(lr), expected)
    for one in result.graphs:
        build_in_every_precision(one.file, one.graph, SIZES, build_for_rtx, spec.state)
    half = whole.file.with_name("fp16.onnx")
    found = run_each(run_whole(half), lr).astype(float)
    # 8 bits cost up to 59 dB by themselves; a position in half precision costs far more.
    assert 10 * np.log10(255**2 / np.mean((found - expected) ** 2)) > 45


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "graph_io", "shape"),
    [
        *((name, "float", ((16, 24),)) for name in SMALL),
        *((name, "float", SHAPE) for name in BOTH_ENDS),
        *((name, "uint8", ((16, 24),)) for name in BOTH_ENDS),
    ],
)
def test_other_ends_and_sizes_build(
    name: str,
    graph_io: GraphIo,
    shape: tuple[tuple[int, int], ...],
    tmp_path: Path,
    build_for_rtx: Callable[..., BuiltEngine],
) -> None:
    network = lively(name)
    spec = spec_of(network)
    extent = shape_range_of(shape, multiple=spec.size_multiple)
    plan = plan_whole(network, spec, graph_io=graph_io, extent=extent)
    model = to_onnx(plan, spec, graph_io=graph_io, extent=extent, opset=18)
    (tmp_path / "fp32.onnx").write_bytes(model.SerializeToString())
    sizes = () if extent.fixed else SIZES
    build_in_every_precision(tmp_path / "fp32.onnx", plan, sizes, build_for_rtx, spec.state)


def build_in_every_precision(
    file: Path,
    said: GraphSpec | GraphPlan,
    sizes: tuple[tuple[int, int, int], ...],
    build: Callable[..., BuiltEngine],
    state: tuple[StateSpec, ...] = (),
) -> None:
    """Build an fp32 graph, its half and its int8 copy, which are written beside it."""
    features = [feature.name for feature in said.features]
    features += [name for one in state for name in (one.name, one.next_name)]
    build = partial(build, state=state)
    model = onnx.load(file)
    assert find_refused_operators(model) == ()
    convolved = build(file, said, sizes).asked
    assert set(convolved) <= {"fp32"}
    to_half(model, halve=features)
    half = file.with_name(file.name.replace("fp32", "fp16"))
    onnx.save(model, half)
    assert build(half, said, sizes, "fp16").asked == {"fp16": sum(convolved.values())}
    keys = {one.key for one in convolutions(model.graph)}
    if keys:  # what fuses may have none
        ranges = Calibration("minmax", ranges=dict.fromkeys(keys, (-4.0, 4.0)))
        int8 = file.with_name(file.name.replace("fp32", "int8"))
        onnx.save(int8_graph(model, ranges, target="nvidia"), int8)
        assert find_refused_operators(onnx.load(int8)) == ()
        made = build(int8, said, sizes, "int8").asked
        assert made["int8"] > 0
        assert sum(made.values()) == sum(convolved.values())


def run_each(run: Run, lr: np.ndarray) -> np.ndarray:
    """Each window by itself: with a state, as the first of a shot."""
    return np.concatenate([run(lr[at : at + 1]) for at in range(len(lr))])


def run_of(files: list[Path], said: GraphSpec | GraphPlan) -> Run:
    return halves_run(*files, encoded_frames=said.encoded_frames, features=said.features)


def assert_same_pictures(found: np.ndarray, expected: np.ndarray) -> None:
    """Within 1 of 255; of float32 sums in another order few land on the other side of a half."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.01


@pytest.mark.slow
@pytest.mark.parametrize("name", HALVES_OF_ONE_SIZE)
def test_halves_of_one_size_give_the_whole(
    name: str, tmp_path: Path, build_for_rtx: Callable[..., BuiltEngine]
) -> None:
    network = lively(name)
    assert isinstance(network, FrameEncoder)
    spec, extent = spec_of(network), shape_range_of(((16, 24),), multiple=8)
    plans = plan_halves(network, spec, graph_io="uint8", extent=extent)
    assert tuple(plan.role for plan in plans) == GRAPHS[name][1:]
    files = []
    for plan in plans:
        model = to_onnx(plan, spec, graph_io="uint8", extent=extent, opset=18)
        files.append(tmp_path / f"{plan.role}-fp32.onnx")
        files[-1].write_bytes(model.SerializeToString())
        build_in_every_precision(files[-1], plan, (), build_for_rtx)
    assert [feature.stride for feature in plan.features] == HALVES_OF_ONE_SIZE[name]
    taken = [value.name for value in model.graph.input]
    again = [] if name == "stdan" else ["centre"]  # STDAN does not look at the frames again
    assert taken == [*(feature.name for feature in plan.features), *again]
    lr = real_window(spec.window, height=16, width=24)
    assert_same_pictures(run_of(files, plan)(lr), pictures_by_torch(network, lr))


@pytest.mark.parametrize("name", TEACHES_ONLY)
def test_what_only_teaches_is_not_exported(name: str, pack: Callable[..., Path]) -> None:
    assert GRAPHS[name] == ()
    path = pack(create(name))
    with pytest.raises(MismatchError, match=r"fsrcnn-teacher .*HR"):
        export(ExportConfig(path))
    assert not (path / "graphs").exists()
