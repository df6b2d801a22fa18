"""Each kind of network becomes a package whose pictures are those of the network as it came."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Literal

import numpy as np
import onnx
import pytest
import torch
from click.testing import CliRunner
from numpy.typing import NDArray

from support.foreign import ForeignCase, write_foreign
from vsrc.calibration.calibrating import calibrate
from vsrc.calibration.calibration_config import CalibrationConfig
from vsrc.cli import main
from vsrc.compressor.networks import create
from vsrc.export.config import ExportConfig
from vsrc.export.foreign.form import ForeignForm
from vsrc.export.packing.config import OwnNetwork
from vsrc.export.packing.packing import pack
from vsrc.export.runs.exporting import export
from vsrc.runtime.errors import MismatchError, SpecError
from vsrc.runtime.package import open_package
from vsrc.runtime.sample import SAMPLE_CLIP, sample_frames

Picture = NDArray[np.uint8]


def session_picture(path: Path, precision: str, lr: Picture) -> Picture:
    session = open_package(path).session(backend="ort", precision=precision)
    sr: Picture = session(lr[None, None])[0]
    session.close()
    return sr


def torch_picture(network: Callable[[torch.Tensor], torch.Tensor], lr: Picture) -> Picture:
    with torch.inference_mode():
        sr = network(torch.from_numpy(lr).permute(2, 0, 1)[None].float() / 255)[0]
    return np.asarray((sr.clamp(0, 1) * 255).round().byte().permute(1, 2, 0))


@pytest.fixture(scope="module")
def lr() -> Picture:
    return np.ascontiguousarray(sample_frames(1)[0, 100:140, 200:256])


WEIGHTS = [
    ("imdn_x4.pth", "imdn", 4),
    ("rlfn_x2.pth", "rlfn", 2),
    ("fsrcnn_x4.pth", "fsrcnn", 4),
    ("etds_s_x4.pth", "etds", 4),
]


@pytest.mark.slow
@pytest.mark.parametrize(("file", "name", "scale"), WEIGHTS)
def test_an_official_checkpoint(
    file: str, name: str, scale: int, reference: Path, tmp_path: Path, lr: Picture
) -> None:
    path = tmp_path / "my.vsrc"
    made = pack(OwnNetwork(str(reference / "weights" / file)), path)
    assert (made.path, made.graphs) == (path, ("fp32",))
    spec = open_package(path).spec.network
    assert (spec.name, spec.scale) == (name, scale)
    sr = session_picture(path, "fp32", lr)
    assert sr.shape == (40 * scale, 56 * scale, 3)
    from vsrc.compressor.networks.loading.packaged import from_package

    difference = sr.astype(int) - torch_picture(from_package(open_package(path)), lr)
    assert np.abs(difference).max() <= 1
    assert np.mean(difference != 0) < 0.01


def test_a_checkpoint_that_spandrel_knows(
    spandrel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lr: Picture
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    compact = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=2, upscale=2)
    torch.save(compact.state_dict(), "mine.pth")
    pack(OwnNetwork("mine.pth"), Path("my.vsrc"))
    Path("mine.pth").unlink()
    spec = open_package("my.vsrc").spec.network
    assert (spec.name, spec.scale, spec.halo, spec.halo_is_exact) == ("spandrel", 2, 4, True)
    wanted = torch_picture(compact.eval(), lr)
    assert np.abs(session_picture(Path("my.vsrc"), "fp32", lr).astype(int) - wanted).max() <= 1
    calibrate(CalibrationConfig(Path("my.vsrc"), clips=(SAMPLE_CLIP,), windows=4))
    made = export(ExportConfig(Path("my.vsrc"), precision="int8-cpu"))  # no --allow-code
    assert made.worst_db >= 40


def test_branches_that_a_network_merges_as_it_runs(
    spandrel: ModuleType, tmp_path: Path, lr: Picture
) -> None:
    torch.manual_seed(0)
    span = spandrel.architectures.SPAN.SPAN(
        num_in_ch=3, num_out_ch=3, feature_channels=8, upscale=2
    )
    torch.save(span.state_dict(), tmp_path / "span.pth")
    pack(OwnNetwork(str(tmp_path / "span.pth")), tmp_path / "my.vsrc")
    sr = session_picture(tmp_path / "my.vsrc", "fp32", lr)
    assert np.abs(sr.astype(int) - torch_picture(span.eval(), lr)).max() <= 1
    merged = [each for name, each in span.state_dict().items() if ".conv." not in name]
    count = sum(each.numel() for each in merged) - sum(
        each.numel() for name, each in span.state_dict().items() if ".sk." in name
    )
    assert open_package(tmp_path / "my.vsrc").spec.network.parameters == count


def test_metadata_of_other_programs_are_not_ours(tmp_path: Path) -> None:
    for at, text in enumerate(("made by hand", "[1, 2", '{"scale": "4"}', "[]")):
        path = write_foreign(tmp_path / f"{at}.onnx", FOREIGN["free"])
        model = onnx.load(path)
        for key in ("vsrc", "scale"):
            entry = model.metadata_props.add()
            entry.key, entry.value = key, text
        onnx.save(model, path)
        made = pack(OwnNetwork(str(path)), tmp_path / f"{at}.vsrc")
        assert "one frame, RGB in 0..1, x2" in made.words


FOREIGN = {
    "free": ForeignCase(ForeignForm("image", 1, 1, "rgb", 2)),
    "fixed, old opset": ForeignCase(
        ForeignForm("image", 1, 255, "rgb", 1), opset=11, size=(48, 64), batch=1
    ),
    "half, new opset": ForeignCase(ForeignForm("image", 1, 1, "rgb", 2), opset=23, is_half=True),
    "luma": ForeignCase(ForeignForm("image", 1, 1, "y", 2)),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_graph_goes_the_whole_way(name: str, tmp_path: Path, lr: Picture) -> None:
    case, path = FOREIGN[name], tmp_path / "my.vsrc"
    pack(OwnNetwork(str(write_foreign(tmp_path / "g.onnx", case))), path)
    spec = open_package(path).spec
    assert (spec.graphs["fp32"].opset, spec.network.scale) == (case.opset, case.form.scale)
    if case.size[0]:
        assert (spec.graphs["fp32"].height, spec.graphs["fp32"].width) == ((48, 48), (64, 64))
    sr = session_picture(path, "fp32", lr)
    # The network repeats pixels, three quarters of each and a quarter of its right neighbour.
    small = 0.75 * lr + 0.25 * np.pad(lr, [(0, 0), (0, 1), (0, 0)])[:, 1:]
    wanted = small.repeat(case.form.scale, 0).repeat(case.form.scale, 1)
    if case.form.colour == "rgb":
        inside = np.s_[:, : -2 * case.form.scale]
        assert np.abs(sr[inside] - np.maximum(wanted, 0.02 * 255)[inside]).max() <= 0.75
    calibrate(CalibrationConfig(path, clips=(SAMPLE_CLIP,), windows=4))
    made = export(ExportConfig(path, precision="int8-cpu", min_psnr=35))
    assert made.judge == "the original graph"
    assert made.graphs[0].graph.opset >= 13
    floats = export(ExportConfig(path, io="float"))
    assert floats.graphs[0].graph.layout == "stacked"


@pytest.mark.parametrize("engine", ["trt", "trt-rtx"])
def test_opsets_that_tensorrt_does_not_read_are_refused_without_it(
    engine: Literal["trt", "trt-rtx"], tmp_path: Path
) -> None:
    path = tmp_path / "my.vsrc"
    pack(OwnNetwork(str(write_foreign(tmp_path / "g.onnx", FOREIGN["half, new opset"]))), path)
    with pytest.raises(MismatchError, match="opset 23 is newer than 20"):
        export(ExportConfig(path, format=engine, precision="fp16", shape=((48, 64),)))
    assert not list(path.glob("engines/*"))


def test_a_lone_graph_of_vsrc(tiny_package: Path, tmp_path: Path) -> None:
    source, _ = open_package(tiny_package).graph("fp32")
    made = pack(OwnNetwork(str(source)), tmp_path / "my.vsrc")
    assert made.graphs == ("fp32",)
    window = sample_frames(3)[None, :, :32, :48]
    wanted, here = (
        open_package(path).session(backend="ort")(window) for path in (tiny_package, made.path)
    )
    np.testing.assert_array_equal(here, wanted)
    with pytest.raises(MismatchError, match="packed from a graph of vsrc"):
        export(ExportConfig(made.path, precision="fp16"))


def test_code_of_ones_own_without_a_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("packed_code.py").write_text(
        "from torch import nn\n"
        "def make():\n"
        "    return nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2))\n"
    )
    pack(OwnNetwork("packed_code:make"), Path("my.vsrc"))
    spec = open_package("my.vsrc").spec.network
    assert (spec.name, spec.scale, spec.window, spec.halo) == ("packed_code:make", 2, 1, 1)
    assert spec.parameters == 12 * 28
    lr = np.zeros((1, 1, 20, 24, 3), np.uint8)
    assert open_package("my.vsrc").session(backend="ort")(lr).shape == (1, 40, 48, 3)


FIXED = """
import torch
from torch.nn import functional as F

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 3, 3, padding=1)
    def forward(self, x):
        rows = int(torch.as_tensor(x.shape[-2]))
        return F.interpolate(self.conv(x)[..., :rows, :], scale_factor=2.0)

def network():
    torch.manual_seed(0)
    return Net()
"""
"""A network that fixes the height of its graph: it makes an integer of a length."""


def test_a_network_that_fixes_its_size_is_packed_as_the_error_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lr: Picture
) -> None:
    (tmp_path / "fixed_network.py").write_text(FIXED)
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(main, ["pack", "fixed_network:network", "-o", "my.vsrc"])
    assert refused.exit_code == 1
    assert "--shape HxW of vsrc pack" in refused.output
    arguments = ["pack", "fixed_network:network", "-o", "my.vsrc", "--shape", "40x56"]
    made = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert made.exit_code == 0
    graph = open_package(tmp_path / "my.vsrc").spec.graphs["fp32"]
    assert (graph.height, graph.width) == ((40, 40), (56, 56))
    assert session_picture(tmp_path / "my.vsrc", "fp32", lr).shape == (80, 112, 3)


def test_a_scale_that_only_the_picture_tells(tmp_path: Path) -> None:
    network = create("fsrcnn", scale=3, features=8, shrunk=4, maps=1)
    torch.save(network.state_dict(), tmp_path / "fresh.pth")
    with pytest.raises(ValueError, match=r"fits several.*--network fsrcnn --scale \d"):
        pack(OwnNetwork(str(tmp_path / "fresh.pth")), tmp_path / "my.vsrc")
    assert not (tmp_path / "my.vsrc").exists()
    pack(OwnNetwork(str(tmp_path / "fresh.pth"), scale=3), tmp_path / "my.vsrc")
    assert open_package(tmp_path / "my.vsrc").spec.network.scale == 3


def test_a_network_for_any_scale_needs_one(tmp_path: Path) -> None:
    network = create("imdn-as", features=16, blocks=1)
    state = {f"module.{key}": tensor for key, tensor in network.state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "as.pth")
    with pytest.raises(ValueError, match=r"fits several.*--network imdn-as --scale 2"):
        pack(OwnNetwork(str(tmp_path / "as.pth")), tmp_path / "my.vsrc")
    pack(OwnNetwork(str(tmp_path / "as.pth"), scale=2), tmp_path / "my.vsrc")
    assert open_package(tmp_path / "my.vsrc").spec.network.name == "imdn-as"


def test_what_is_no_network_is_refused(tmp_path: Path) -> None:
    torch.save({"a.weight": torch.zeros(3, 2)}, tmp_path / "other.pth")
    with pytest.raises(MismatchError, match="vsrc pack module:function --weights"):
        pack(OwnNetwork(str(tmp_path / "other.pth")), tmp_path / "my.vsrc")
    (tmp_path / "broken.onnx").write_bytes(b"no graph")
    with pytest.raises(SpecError, match="not a complete ONNX file"):
        pack(OwnNetwork(str(tmp_path / "broken.onnx")), tmp_path / "my.vsrc")
    quantised = write_foreign(tmp_path / "q.onnx", FOREIGN["free"])
    model = onnx.load(quantised)
    model.graph.node[0].op_type = "QLinearConv"
    onnx.save(model, quantised)
    with pytest.raises(MismatchError, match="is quantised already"):
        pack(OwnNetwork(str(quantised)), tmp_path / "my.vsrc")
    assert not (tmp_path / "my.vsrc").exists()
