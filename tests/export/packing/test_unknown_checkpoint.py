"""A checkpoint that nothing recognises: the message has every way in, and the ways work."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from vsrc.cli import main

torch = pytest.importorskip("torch", reason="torch is not installed")

CODE = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.mine = nn.Conv2d(3, 12, 3, padding=1)
        self.up = nn.PixelShuffle(2)

    def forward(self, lr):
        return self.up(self.mine(lr))
"""


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine_net.py").write_text(CODE)
    conv = torch.nn.Conv2d(3, 12, 3)
    state = {f"mine.{name}": tensor for name, tensor in conv.state_dict().items()}
    torch.save(state, tmp_path / "my weights.pth")
    return Path("my weights.pth")


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, words, prog_name="vsrc")
    return done.exit_code, done.output


@pytest.mark.usefixtures("spandrel")
@pytest.mark.parametrize(
    "words",
    [
        ("infer", "sample", "-o", "x.mp4", "-m"),
        ("infer", "sample", "-o", "x.mp4", "--network", "edge-s", "-m"),
        ("pack", "-o", "x.vsrc"),
        ("pack", "-o", "x.vsrc", "--network", "imdn", "--scale", "2"),
    ],
)
def test_your_own_code_is_one_way_and_works_as_typed(
    checkpoint: Path, words: tuple[str, ...]
) -> None:
    status, output = run(*words, str(checkpoint))
    assert status == 1
    assert "--network NAME" in output or "--network" in words
    _, found, command = output.partition("your own code: vsrc ")
    assert found
    typed = shlex.split(command.strip().replace("module:function", "mine_net:Net"))
    status, output = run(*typed)
    assert status == 0, output


@pytest.mark.parametrize("option", ["--teacher", "--student"])
def test_a_file_in_place_of_a_network_gets_the_ways_it_is_named(
    checkpoint: Path, option: str
) -> None:
    words = ["distill", option, str(checkpoint), "--data", "sample", "-o", "x.vsrc"]
    status, output = run(*words, *(["--teacher", "edvr-m"] if option == "--student" else []))
    assert status == 2
    assert f"spandrel:{checkpoint}" in output
    assert "module:function" in output
    assert "did you mean" not in output
