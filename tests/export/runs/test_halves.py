"""The pair of graphs of a network in two parts gives what the whole gives, frame after frame."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from torch import Tensor, nn

from vsrc.cli import main
from vsrc.compressor.networks.table import NETWORKS
from vsrc.export.checks import checked_graphs
from vsrc.export.checks.agreement import Run, halves_run
from vsrc.export.config import ExportConfig
from vsrc.export.engines.engine_build import BuiltEngine
from vsrc.export.graphs.graph_name import METADATA_KEY
from vsrc.export.runs.exporting import export
from vsrc.runtime.errors import MismatchError, OutputError
from vsrc.runtime.package import Package, open_package
from vsrc.runtime.spec import FeatureSpec, NetworkSpec


class Ring:
    """Keeps the features of frames from window to window; all it knows is what the package says."""

    def __init__(self, package: Package) -> None:
        self.encode, self.fuse = (
            onnxruntime.InferenceSession(
                str(package.graph(name)[0]), providers=["CPUExecutionProvider"]
            )
            for name in ("encode-fp32", "fuse-fp32")
        )
        graph = package.spec.graphs["fuse-fp32"]
        self.names = [feature.name for feature in graph.features]
        self.taken = package.spec.network.window - graph.encoded_frames + 1
        self.kept: list[list[np.ndarray]] = []
        self.encoded = 0

    def push(self, frame: np.ndarray) -> None:
        self.kept = [*self.kept, self.encode.run(self.names, {"lr": frame[None]})][-self.taken :]
        self.encoded += 1

    def restored(self, centre: np.ndarray) -> np.ndarray:
        maps = {
            name: np.stack([features[index] for features in self.kept], axis=1)
            for index, name in enumerate(self.names)
        }
        (sr,) = self.fuse.run(None, {**maps, "centre": centre[None]})
        return np.asarray(sr[0])


def test_features_kept_from_window_to_window_give_the_same_frames(halves_package: Path) -> None:
    package = open_package(halves_package)
    clip = np.random.default_rng(0).integers(0, 256, (6, 14, 19, 3), dtype=np.uint8)
    padded = np.concatenate([clip[:1], clip, clip[-1:]])  # a window of 3 at the ends of a video
    whole, ring = package.session(), Ring(package)
    for frame in padded[:2]:
        ring.push(frame)
    for t in range(6):
        ring.push(padded[t + 2])
        expected = whole(padded[None, t : t + 3])[0]
        found = ring.restored(clip[t])
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    assert ring.encoded == 8  # not 3 * 6


def test_the_package_says_what_the_pair_hands_over(halves_package: Path) -> None:
    graphs = open_package(halves_package).spec.graphs
    assert list(graphs) == ["fp32", "encode-fp32", "fuse-fp32"]
    assert [graph.role for graph in graphs.values()] == ["whole", "encode", "fuse"]
    assert graphs["fp32"].features == ()
    assert graphs["encode-fp32"].features == graphs["fuse-fp32"].features
    assert graphs["encode-fp32"].features == (FeatureSpec("feature1", channels=8, stride=1),)


def test_inputs_and_outputs_have_the_names_that_are_written_down(halves_package: Path) -> None:
    package = open_package(halves_package)
    found = {}
    for name in ("encode-fp32", "fuse-fp32"):
        path, _ = package.graph(name)
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        values = [*session.get_inputs(), *session.get_outputs()]
        found[name] = {value.name: (value.type, len(value.shape)) for value in values}
    assert found["encode-fp32"] == {"lr": ("tensor(uint8)", 4), "feature1": ("tensor(float)", 4)}
    assert found["fuse-fp32"] == {
        "feature1": ("tensor(float)", 5),
        "centre": ("tensor(uint8)", 4),
        "sr": ("tensor(uint8)", 4),
    }


def test_a_lone_half_says_which_half_it_is(halves_package: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(open_package(halves_package).graph("encode-fp32")[0])
    (entry,) = [prop for prop in model.metadata_props if prop.key == METADATA_KEY]
    said = json.loads(entry.value)["graph"]
    assert (said["role"], said["encoded_frames"]) == ("encode", 1)
    assert said["features"] == [{"name": "feature1", "channels": 8, "stride": 1}]


def test_float_edges_have_a_pair_too(copy: Path) -> None:
    result = export(ExportConfig(copy, io="float", shape=((12, 16),)))
    names = [one.name for one in result.graphs]
    assert names == ["fp32-float", "encode-fp32-float", "fuse-fp32-float"]
    assert result.worst_db > 90


def test_a_pair_that_differs_is_not_written_and_neither_is_the_whole(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def darker(*files: Path, **said: Any) -> Run:  # noqa: ANN401
        run = halves_run(*files, **said)
        return lambda lr: (run(lr) * 0.5).astype(np.float32)

    monkeypatch.setattr(checked_graphs, "halves_run", darker)
    done = CliRunner().invoke(main, ["export", str(copy), "--shape", "12x16"])
    assert done.exit_code == 4
    assert "encode-fp32 + fuse-fp32 is " in done.stderr
    assert sorted(path.name for path in copy.iterdir()) == ["model.json", "weights.safetensors"]


def test_a_pair_is_replaced_only_when_asked_and_by_the_same_bytes(
    halves_package: Path, tmp_path: Path
) -> None:
    config = ExportConfig(Path(shutil.copytree(halves_package, tmp_path / "again.vsrc")))
    with pytest.raises(OutputError, match=r"fp32 .*--overwrite"):
        export(config)
    again = export(replace(config, overwrite=True))
    first = open_package(halves_package).spec.graphs
    assert {one.name: one.graph.sha256 for one in again.graphs} == {
        name: graph.sha256 for name, graph in first.items()
    }


class Pyramid(nn.Module):
    """Features at full, half and quarter size from runs of 2 frames, over a window of 3."""

    encoded_frames = 2
    spec = NetworkSpec("pyramid", {}, 1, 3, 9, 0, 0.0, size_multiple=4)

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList(
            nn.Conv2d(6 if level == 0 else 4, 4, 3, 1 if level == 0 else 2, 1) for level in range(3)
        )

    def encode(self, run: Tensor) -> tuple[Tensor, ...]:
        levels = [run.flatten(1, 2)]
        for conv in self.down:
            levels.append(conv(levels[-1]))
        return tuple(levels[1:])

    def fuse(self, features: tuple[Tensor, ...], centre: Tensor) -> Tensor:
        large = [
            F.interpolate(level.mean(1), scale_factor=float(2**power), mode="nearest")
            for power, level in enumerate(features)
        ]
        return centre + torch.stack(large).sum((0, 2), keepdim=True)[0]

    def forward(self, lr: Tensor) -> Tensor:
        runs = [self.encode(lr[:, first : first + 2]) for first in range(2)]
        features = tuple(torch.stack(level, dim=1) for level in zip(*runs, strict=True))
        return self.fuse(features, lr[:, 1])


def test_maps_of_a_pyramid_follow_the_size_of_the_frame(
    pack: Callable[..., Path],
    build_for_rtx: Callable[..., BuiltEngine],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(NETWORKS, "pyramid", Pyramid)
    torch.manual_seed(0)
    result = export(ExportConfig(pack(Pyramid())))
    assert result.worst_db > 90
    for one in result.graphs[1:]:
        assert [feature.stride for feature in one.graph.features] == [1, 2, 4]
        assert one.graph.encoded_frames == 2
        build_for_rtx(one.file, one.graph, ((1, 16, 24), (1, 32, 48), (2, 64, 96)))


class Foreign(nn.Module):
    """A user's own network in two parts; what is wrong with it is chosen by `fault`."""

    encoded_frames = 1

    def __init__(self, *, fault: str = "") -> None:
        super().__init__()
        self.fault = fault
        self.conv = nn.Conv2d(3, 4, 3, stride=2 if fault == "half size" else 1, padding=1)

    @property
    def spec(self) -> NetworkSpec:
        return NetworkSpec("foreign", {"fault": self.fault}, 1, 3, 1, 0, 0.0)

    def encode(self, frame: Tensor) -> tuple[Tensor]:
        return (self.conv(frame),)

    def fuse(self, features: tuple[Tensor], centre: Tensor) -> Tensor:
        (kept,) = features
        if self.fault == "branch" and kept.sum() > 0:
            return centre
        if self.fault == "length":
            kept = kept.reshape(len(kept), *kept.shape[1:])
        return centre + kept.mean((1, 2), keepdim=True)[:, 0]

    def forward(self, lr: Tensor) -> Tensor:
        kept = torch.stack([self.conv(frame) for frame in lr.unbind(1)], dim=1)
        return self.fuse((kept,), lr[:, 1])


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("length", r"axis 0 of lr .* 2: .*len\(x\)"),
        ("branch", "Could not guard"),
        ("half size", "map 1 of foreign .* 8 rows .* 16"),
    ],
)
def test_what_cannot_be_exported_says_why(
    pack: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, fault: str, message: str
) -> None:
    monkeypatch.setitem(NETWORKS, "foreign", Foreign)
    path = pack(Foreign(fault=fault))
    with pytest.raises(MismatchError, match=message):
        export(ExportConfig(path))
    assert not (path / "graphs").exists()
