from __future__ import annotations

from pathlib import Path

from vsrc.compressor.build import build
from vsrc.compressor.run_header import run_header
from vsrc.compressor.training.config import DistillConfig


def test_header_says_what_is_trained_on_what_and_where_it_goes(tmp_path: Path) -> None:
    config = DistillConfig(
        student="edge-s",
        objective="none",
        data=(tmp_path / "clips",),
        output=tmp_path / "mine.vsrc",
        steps=1234,
        batch=3,
        accumulate=2,
        patch=64,
    )
    built = build(config)
    text = "\n".join(run_header(config, built).lines())
    lines = dict(line.split(None, 1) for line in text.splitlines())
    parameters = sum(weight.numel() for weight in built.student.network.parameters())
    assert lines["student"].startswith("edge-s: ")
    assert int(lines["student"].split()[1].replace(",", "")) <= parameters
    assert lines["teacher"] == "none"
    assert lines["objective"] == "none"
    assert lines["data"] == str(tmp_path / "clips")
    assert lines["steps"] == "1234 updates of 6 clips of 5 frames, 64 x 64 HR pixels"
    assert lines["device"].startswith(("cpu", "cuda"))
    assert str(tmp_path / "mine.vsrc") in lines["writes"]
    assert str(tmp_path / "mine.vsrc.run") in lines["writes"]


def test_header_of_a_resumed_run_names_its_step(tmp_path: Path) -> None:
    config = DistillConfig(
        objective="none", data=(tmp_path,), output=tmp_path / "mine.vsrc", resume=True
    )
    for step in (500, 1500):
        folder = config.run_folder / "checkpoints" / f"step-{step:08d}"
        folder.mkdir(parents=True)
        (folder / "state.pt").touch()
    header = run_header(config, build(config))
    assert header.resumed == 1500
    assert any("resumed after step 1500" in line for line in header.lines())
