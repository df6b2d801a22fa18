from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from support.pair_psnr import mean_psnr
from vsrc.compressor.features.taps import open_taps
from vsrc.compressor.networks import create, load_weights
from vsrc.compressor.networks.image.fsrcnn import Fsrcnn, FsrcnnTeacher
from vsrc.compressor.networks.layers.counting import parameter_count
from vsrc.compressor.networks.loading.weights import load_state

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor, nn

    from support.golden import Golden

STAGES = {
    "extract": "feature_extraction",
    "shrink": "shrinking",
    "mapping": "mapping",
    "expand": "expanding",
}


@pytest.fixture(scope="module")
def official(reference: Path) -> nn.Module:
    network = create("fsrcnn", scale=4)
    load_weights(network, reference / "weights" / "fsrcnn_x4.pth")
    return network.eval()


@pytest.mark.parametrize("which", ["rand", "set5"])
def test_rgb_gives_what_the_official_code_gives(
    official: nn.Module, golden: Golden, which: str
) -> None:
    stored = golden.tensors("etds_fsrcnn_x4")
    with torch.no_grad():
        sr = official(stored[f"{which}_input"])
    atol = golden.tolerance("etds_fsrcnn_x4", f"{which}_output")
    torch.testing.assert_close(sr, stored[f"{which}_output"], rtol=0, atol=atol)


@pytest.mark.parametrize(("folder", "db"), [("set5_x4", 30.783), ("set14_x4", 27.750)])
def test_pictures_are_restored_as_well_as_published(
    official: nn.Module, reference: Path, folder: str, db: float
) -> None:
    assert mean_psnr(official, reference / "data" / folder) == pytest.approx(db, abs=2e-3)


def check(golden: Golden, name: str, found: dict[str, Tensor]) -> None:
    stored = golden.tensors(name)
    for key, tensor in found.items():
        atol = golden.tolerance(name, key)
        torch.testing.assert_close(tensor, stored[key], rtol=0, atol=atol)


def test_luma_gives_what_the_official_code_gives(golden: Golden) -> None:
    name = "pisr_fsrcnn_student_x4"
    network = Fsrcnn(channels=1)
    load_state(network, golden.weights(name), where=name)
    with torch.no_grad(), open_taps(network, list(STAGES)) as seen:
        found = {"last_layer": network.upscale(golden.tensors(name)["input"])}
    check(golden, name, found | {theirs: seen[ours] for ours, theirs in STAGES.items()})


def test_the_teacher_gives_what_the_official_code_gives(golden: Golden) -> None:
    name = "pisr_fsrcnn_teacher_x4"
    teacher = FsrcnnTeacher()
    load_state(teacher, golden.weights(name), where=name)
    paths = {f"decoder.{ours}": theirs for ours, theirs in STAGES.items()}
    with torch.no_grad(), open_taps(teacher, list(paths)) as seen:
        sr, code = teacher(golden.tensors(name)["input"])
    found = {"last_layer": sr, "encoder": code}
    check(golden, name, found | {theirs: seen[ours] for ours, theirs in paths.items()})


def test_a_student_starts_as_the_decoder_of_its_teacher() -> None:
    teacher, student = FsrcnnTeacher(), Fsrcnn(channels=1)
    load_state(student, teacher.decoder.state_dict(), where="teacher")
    code = torch.rand(1, 1, 5, 6)
    torch.testing.assert_close(student.upscale(code), teacher.decoder.upscale(code))


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_parameter_counts_are_the_published_ones(scale: int) -> None:
    assert parameter_count(Fsrcnn(scale=scale)) == 24_683
    assert parameter_count(Fsrcnn(scale=scale, channels=1)) == 12_644
    assert parameter_count(FsrcnnTeacher(scale=scale)) == 98_728


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_a_luma_network_leaves_chroma_to_the_bicubic(scale: int) -> None:
    torch.manual_seed(0)
    network = Fsrcnn(scale=scale, channels=1).eval()
    lr = torch.rand(1, 3, 6, 7)
    path = network.luma_path
    assert path is not None
    with torch.no_grad():
        luma, chroma = path.split(network(lr))
        own, coarse = path.split(lr)
        torch.testing.assert_close(luma, network.upscale(own), rtol=0, atol=1e-5)
        torch.testing.assert_close(chroma, path.enlarge(coarse), rtol=0, atol=1e-5)


def test_two_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="channels=2 "):
        create("fsrcnn", channels=2)
