"""Keys of engines: which chips they tell apart, and which keys stay as they were."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest

from support.reordering_gpu import ADA
from vsrc.commands.export import export_command
from vsrc.runtime.backends.device.engine_file import EngineTarget, ProfileShapes, check_fits
from vsrc.runtime.backends.device.engines import Here
from vsrc.runtime.errors import MismatchError
from vsrc.runtime.spec import GraphSpec

SHAPES: ProfileShapes = {"lr": ((1, 3, 24, 32, 3),)}
RTX = EngineTarget(
    "trt-rtx", "1.7.1", None, ("8.6", "8.9"), "fp16", "0" * 64, "fp16", "uint8", SHAPES
)
ORIN = replace(
    RTX,
    backend="trt",
    version="10.3.0",
    gpu="Orin",
    compute_capabilities=("8.7",),
    multiprocessors=16,
    board="NVIDIA Jetson AGX Orin Developer Kit",
    memory_gb=61,
)


def test_keys_of_tensorrt_for_rtx_are_those_of_earlier_versions() -> None:
    assert RTX.key == "trt-rtx-fp16-c8c827570567a991"  # computed by the version before


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"multiprocessors": 8}, r"number of SMs: 16, .* 8;"),
        ({"memory_gb": 30}, r"memory \(GiB\): 61, .* 30;"),
        ({"board": "NVIDIA Jetson Orin NX"}, r"board: .*AGX .* NX;"),
    ],
)
def test_chips_of_one_name_are_told_apart(changed: dict[str, object], words: str) -> None:
    other = EngineTarget(**{**vars(ORIN), **changed})
    assert other.key != ORIN.key
    with pytest.raises(MismatchError, match=words):
        check_fits(Path("a.engine"), ORIN, other)


def test_an_engine_of_an_older_version_is_refused_in_one_line() -> None:
    old = replace(ORIN, multiprocessors=None, board=None, memory_gb=None)
    with pytest.raises(MismatchError, match=r"older vsrc, .*SMs, board, memory .*--format trt"):
        check_fits(Path("a.engine"), old, ORIN)
    check_fits(Path("a.engine"), RTX, RTX)


def test_the_line_that_builds_it_again_can_be_typed(tmp_path: Path) -> None:
    engine = tmp_path / "a b.vsrc" / "engines" / "x.engine"
    other = replace(
        ORIN,
        version="11.0",
        shapes={"lr": ((1, 5, 90, 160, 3), (1, 5, 180, 320, 3), (1, 5, 540, 960, 3))},
    )
    with pytest.raises(MismatchError) as refused:
        check_fits(engine, ORIN, other)
    line = str(refused.value).partition("build it here: vsrc export ")[2]
    assert line.endswith("--format trt --precision fp16 --shape 90x160,180x320,540x960")
    context = export_command.make_context("export", shlex.split(line))
    assert context.params["model"] == tmp_path / "a b.vsrc"


def test_the_target_of_this_machine_has_the_chip_for_trt_alone() -> None:
    graph = GraphSpec(
        "graphs/fp16.onnx", "0" * 64, 1, "fp16", "uint8", 18, height=(1, 64), width=(1, 64)
    )
    device = replace(ADA, multiprocessors=128, total_bytes=24 << 30)
    target = Here("trt", "10.3.0", device).target_of("fp16", graph, SHAPES)
    assert (target.multiprocessors, target.memory_gb, target.gpu) == (128, 24, device.name)
    assert target.board is not None
    rtx = Here("trt-rtx", "1.7.1", device).target_of("fp16", graph, SHAPES)
    assert (rtx.multiprocessors, rtx.memory_gb, rtx.board, rtx.gpu) == (None,) * 4
