"""A package may come from anywhere: code that it names runs only where that is allowed."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
import torch
from click.testing import CliRunner
from torch import nn

from vsrc.cli import main
from vsrc.compressor.features.taps import spec_of
from vsrc.compressor.network_package import write_package
from vsrc.compressor.networks import create
from vsrc.compressor.networks.loading.find_network import find_network, find_teacher
from vsrc.compressor.networks.loading.packaged import from_package
from vsrc.runtime.errors import SpecError
from vsrc.runtime.package import open_package
from vsrc.runtime.spec import Argument

MODULE = """
from pathlib import Path
from torch import nn
from vsrc.runtime.spec import NetworkSpec

Path("imported").touch()

class Sharper(nn.Module):
    def __init__(self, *, scale):
        super().__init__()
        self.conv = nn.Conv2d(3, 3 * scale**2, 3, padding=1)
        self.shuffle = nn.PixelShuffle(scale)
        self.spec = NetworkSpec("sharper", {"scale": scale}, scale, 1, 2, 336, 3.24e-7)

    def forward(self, lr):
        return self.shuffle(self.conv(lr))

def make(scale=2):
    return Sharper(scale=scale)
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Name of a user's own network, whose module lies in the working directory."""
    (tmp_path / "own_network.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_network", raising=False)
    return "own_network:make"


def own_package(name: str) -> tuple[Path, nn.Module]:
    network = create(name)
    path = write_package(network, Path("packed.vsrc"), replace(spec_of(network), name=name))
    sys.modules.pop("own_network")  # as in the process that opens it later
    Path("imported").unlink()
    return path, network


def test_a_module_of_the_working_directory_is_found(own: str) -> None:
    assert create(own, scale=3)(torch.rand(1, 3, 4, 5)).shape == (1, 3, 12, 15)
    with pytest.raises(ValueError, match=r"own_network:make .*'window'.* scale"):
        create(own, window=3)


def test_code_is_not_imported_unless_allowed(own: str) -> None:
    path, network = own_package(own)
    package = open_package(path)
    message = r"packed\.vsrc .*'own_network:make'.*--allow-code"
    with pytest.raises(SpecError, match=message):
        from_package(package)
    for find in (find_network, find_teacher):
        with pytest.raises(SpecError, match=message):
            find(str(path), scale=2, weights=None, arguments={})
    assert not Path("imported").exists()
    found = from_package(package, allow_code=True)
    assert Path("imported").exists()
    lr = torch.rand(1, 3, 6, 5)
    assert torch.equal(found(lr), network(lr))
    student = find_network(str(path), scale=2, weights=None, arguments={}, allow_code=True)
    assert student.spec == package.spec.network


@pytest.mark.parametrize(
    "name", ["os:mkdir", "pathlib:Path.mkdir", "spandrel:/etc/passwd", ":", "os", ""]
)
def test_no_name_gets_a_function_called(tmp_path: Path, own: str, name: str) -> None:
    network = create(own)
    arguments: dict[str, Argument] = {"path": str(tmp_path / "made"), "mode": 0o700}
    spec = replace(spec_of(network), name=name, arguments=arguments)
    path = write_package(network, Path("packed.vsrc"), spec)
    with pytest.raises(SpecError, match=f"'{name}'.*--allow-code"):
        from_package(open_package(path))
    assert not (tmp_path / "made").exists()


def test_the_command_exports_it_only_when_told(own: str) -> None:
    path, _ = own_package(own)
    refused = CliRunner().invoke(main, ["export", str(path), "--shape", "8x8"])
    assert refused.exit_code == 1
    assert "add --allow-code" in refused.stderr
    assert not Path("imported").exists()
    done = CliRunner().invoke(main, ["export", str(path), "--shape", "8x8", "--allow-code"])
    assert done.exit_code == 0, done.output
    assert open_package(path).session()(torch.zeros(1, 1, 8, 8, 3).byte().numpy()).shape[1:3] == (
        16,
        16,
    )


def test_a_network_of_spandrel_is_made_from_the_weights_in_the_package(
    spandrel: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    compact = spandrel.architectures.Compact.Compact(num_feat=8, num_conv=2, upscale=2)
    torch.save(compact.state_dict(), "2x_compact.pth")
    teacher = find_network(
        "spandrel:2x_compact.pth", scale=2, weights=None, arguments={"stages": "body.1"}
    )
    path = write_package(teacher.network, Path("packed.vsrc"), teacher.spec)
    Path("2x_compact.pth").unlink()
    with pytest.raises(SpecError, match="'spandrel:2x_compact"):
        from_package(open_package(path))
    found = find_network(str(path), scale=2, weights=None, arguments={}, allow_code=True)
    lr = torch.rand(1, 3, 7, 6)
    assert torch.equal(found.network(lr), teacher.network(lr))
    assert found.spec == teacher.spec
    assert found.spec.stages == ("network.body.1",)
    done = CliRunner().invoke(main, ["export", str(path), "--allow-code"])
    assert done.exit_code == 0, done.output
