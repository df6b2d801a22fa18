"""An engine that was built elsewhere is code of somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.optional import skip_without
from vsrc.runtime.backends.device.engine_trust import (
    allow_engines,
    check_no_engine_inside,
    check_trusted,
    remember_engine,
)
from vsrc.runtime.errors import SpecError

HASH = "0" * 64


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("VSRC_ALLOW_CODE", raising=False)


def test_only_what_was_built_here_is_loaded() -> None:
    with pytest.raises(SpecError, match=r"a\.engine was not built on this machine.*--allow-code"):
        check_trusted(Path("a.engine"), HASH)
    remember_engine(HASH)
    check_trusted(Path("a.engine"), HASH)
    with pytest.raises(SpecError):
        check_trusted(Path("a.engine"), "1" * 64)


def test_engines_of_others_are_trusted_for_a_block() -> None:
    with allow_engines():
        check_trusted(Path("a.engine"), HASH)
    with pytest.raises(SpecError):
        check_trusted(Path("a.engine"), HASH)


def test_a_cache_that_cannot_be_written_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "cache").touch()
    remember_engine(HASH)
    with pytest.raises(SpecError):
        check_trusted(Path("a.engine"), HASH)


def test_a_graph_that_holds_an_engine_needs_permission(tmp_path: Path, tiny_package: Path) -> None:
    skip_without("onnx")
    from onnx import TensorProto, helper

    values = [helper.make_tensor_value_info(name, TensorProto.UINT8, [1]) for name in ("lr", "sr")]
    node = helper.make_node(
        "EPContext", ["lr"], ["sr"], domain="com.microsoft", ep_cache_context="x.engine"
    )
    path = tmp_path / "a.onnx"
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(SpecError, match=r"a\.onnx holds an engine .*--allow-code"):
        check_no_engine_inside(path)
    with allow_engines():
        check_no_engine_inside(path)
    check_no_engine_inside(tiny_package / "graphs" / "fp32.onnx")
