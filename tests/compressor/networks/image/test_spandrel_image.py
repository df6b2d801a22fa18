from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.networks import create
from vsrc.runtime.dependencies import is_importable
from vsrc.runtime.errors import MismatchError, MissingDependencyError


def compact_file(spandrel: ModuleType, folder: Path, **arguments: int) -> Path:
    torch.manual_seed(0)
    network = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=2, upscale=4, **arguments)
    torch.save({"params_ema": network.state_dict()}, folder / "4x_compact.pth")
    return folder / "4x_compact.pth"


def test_a_checkpoint_becomes_a_teacher(spandrel: ModuleType, tmp_path: Path) -> None:
    path = compact_file(spandrel, tmp_path)
    teacher = create(f"spandrel:{path}", stages="body.1,body.3", hr_features="upsampler")
    lr = torch.rand(2, 3, 7, 9)
    with torch.no_grad():
        sr = teacher(lr)
        expected = spandrel.ModelLoader().load_from_file(path).model(lr)
    assert torch.equal(sr, expected)
    spec = spec_of(teacher)
    assert (spec.scale, spec.window, spec.size_multiple) == (4, 1, 1)
    assert spec.stages == ("network.body.1", "network.body.3")
    assert spec.hr_features == "network.upsampler"
    assert dict(teacher.named_modules()).keys() >= {*spec.stages, spec.hr_features}
    again = create(spec.name, **spec.arguments)
    assert spec_of(again) == spec
    assert torch.equal(again(lr), teacher(lr))


def test_its_output_can_be_learnt_from(spandrel: ModuleType, tmp_path: Path) -> None:
    teacher = create(f"spandrel:{compact_file(spandrel, tmp_path)}")
    student = nn.Conv2d(3, 3, 1)
    with torch.no_grad():
        wanted = teacher(torch.rand(1, 3, 4, 4))
    (student(torch.rand(1, 3, 16, 16)) - wanted).square().mean().backward()
    assert student.weight.grad is not None


@pytest.mark.filterwarnings("ignore:torch.meshgrid")
def test_sizes_that_the_network_does_not_take_are_padded(
    small_swinir: nn.Module, tmp_path: Path
) -> None:
    torch.save(small_swinir.state_dict(), tmp_path / "swin.pth")
    teacher = create(f"spandrel:{tmp_path / 'swin.pth'}")
    assert teacher(torch.rand(1, 3, 5, 11)).shape == (1, 3, 10, 22)
    assert spec_of(teacher).gmac_per_lr_pixel > 0


def test_files_of_other_kinds_are_refused(spandrel: ModuleType, tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "linear.pth")
    with pytest.raises(MismatchError, match=r"linear\.pth.*module:function"):
        create(f"spandrel:{tmp_path / 'linear.pth'}")
    four = compact_file(spandrel, tmp_path, num_in_ch=4, num_out_ch=4)
    with pytest.raises(MismatchError, match=r"Compact from 4 channels to 4"):
        create(f"spandrel:{four}")


def test_weights_that_spandrel_cannot_load_end_in_one_line(
    spandrel: ModuleType, tmp_path: Path
) -> None:
    path = compact_file(spandrel, tmp_path)
    state = torch.load(path)["params_ema"]
    torch.save({key: state[key] for key in state if key != "body.2.bias"}, path)
    with pytest.raises(MismatchError, match=r"compact\.pth: .*cannot load it"):
        create(f"spandrel:{path}")
    torch.save({**state, "body.2.bias": state["body.2.bias"] / 0}, path)
    with pytest.raises(MismatchError, match=r"body\.2\.bias holds NaN"):
        create(f"spandrel:{path}")


def test_a_network_of_one_channel_gets_luma(spandrel: ModuleType, tmp_path: Path) -> None:
    path = compact_file(spandrel, tmp_path, num_in_ch=1, num_out_ch=1)
    network = create(f"spandrel:{path}")
    assert spec_of(network).colour == "y"
    lr = torch.rand(1, 3, 12, 16)
    red, green, blue = lr.double().unbind(1)
    luma = (16 + 65.481 * red + 128.553 * green + 24.966 * blue) / 255  # MATLAB's rgb2ycbcr
    with torch.no_grad():
        wanted = spandrel.ModelLoader().load_from_file(path).model(luma[:, None].float())
        red, green, blue = network(lr).double().unbind(1)
    found = (16 + 65.481 * red + 128.553 * green + 24.966 * blue) / 255
    assert torch.allclose(found, wanted[:, 0].double(), atol=1e-5)


def test_a_network_that_restores_has_scale_1(spandrel: ModuleType, tmp_path: Path) -> None:
    network = spandrel.architectures.DnCNN.DnCNN(in_nc=3, out_nc=3, nc=8, nb=8, act_mode="R")
    torch.save(network.state_dict(), tmp_path / "denoise.pth")
    found, lr = create(f"spandrel:{tmp_path / 'denoise.pth'}"), torch.rand(1, 3, 9, 11)
    assert spec_of(found).scale == 1
    with torch.no_grad():
        assert torch.equal(found(lr), network.eval()(lr))


@pytest.mark.parametrize("prefix", ["module.", "netG.", "model.", "_orig_mod.", "model.net."])
def test_prefixes_of_trainers_are_taken_off(
    spandrel: ModuleType, tmp_path: Path, prefix: str
) -> None:
    path = compact_file(spandrel, tmp_path)
    plain, state = create(f"spandrel:{path}"), torch.load(path)["params_ema"]
    torch.save({"state_dict": {f"{prefix}{key}": state[key] for key in state}}, path)
    lr = torch.rand(1, 3, 5, 6)
    assert torch.equal(create(f"spandrel:{path}")(lr), plain(lr))


def test_a_tap_that_is_not_there_names_the_nearest(spandrel: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"'body\.77'.*body\.6"):
        create(f"spandrel:{compact_file(spandrel, tmp_path)}", stages="body.77")


def test_without_spandrel_the_message_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(nn.Linear(2, 2).state_dict(), tmp_path / "any.pth")
    monkeypatch.setitem(sys.modules, "spandrel", None)
    with pytest.raises(MissingDependencyError, match=r"(teachers\]|spandrel>=0\.4)'$"):
        create(f"spandrel:{tmp_path / 'any.pth'}")


_DESCRIBES = """
import torch

@torch.library.register_fake("torchvision::nms")
def nms(boxes, scores, threshold):
    return boxes
"""


def run(folder: Path, *modules: str) -> subprocess.CompletedProcess[str]:
    """Import spandrel in a process where files of these names lie in `folder`."""
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); " + "; ".join(modules)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


_IMPORT = (
    "from vsrc.compressor.networks.image.spandrel_image import import_spandrel as do; print(do())"
)


def test_it_loads_beside_a_torchvision_of_another_torch(tmp_path: Path) -> None:
    """As the index has it beside a torch for the CPU: its operators are described, not there."""
    (tmp_path / "torchvision.py").write_text(_DESCRIBES)
    (tmp_path / "spandrel.py").write_text("import torchvision")
    plain = run(tmp_path, "import spandrel")
    assert "torchvision::nms" in plain.stderr
    done = run(tmp_path, _IMPORT)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path) in done.stdout


def test_an_operator_that_nobody_knew_of_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "torchvision.py").write_text(_DESCRIBES.replace("nms", "newer"))
    (tmp_path / "spandrel.py").write_text("import torchvision")
    done = run(tmp_path, _IMPORT)
    assert "torchvision" in done.stderr
    assert "from the same wheel index" in done.stderr


def test_the_true_torchvision_loads_too() -> None:
    if not (is_importable("spandrel") and is_importable("torchvision")):
        pytest.skip("spandrel is not installed")
    done = run(Path("/nonexistent"), _IMPORT)
    assert done.returncode == 0, done.stderr
