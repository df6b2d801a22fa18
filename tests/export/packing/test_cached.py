"""What is kept of networks that were used without a package is bounded, and oldest goes first."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from support.foreign import ForeignCase, write_foreign
from vsrc.export.foreign.form import ForeignForm
from vsrc.export.packing import cached
from vsrc.export.packing.cached import cached_package
from vsrc.export.packing.config import OwnNetwork
from vsrc.runtime.package import packed_folder


def test_the_same_bytes_are_packed_once_and_the_oldest_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cached, "MOST_PACKAGES", 1)
    form = ForeignForm("image", 1, 1, "rgb", 2)
    first = OwnNetwork(str(write_foreign(tmp_path / "g.onnx", ForeignCase(form))))
    path = cached_package(first).path
    made = (path / "model.json").stat().st_mtime_ns
    copy = tmp_path / "folder" / "g.onnx"
    copy.parent.mkdir()
    copy.write_bytes((tmp_path / "g.onnx").read_bytes())
    assert cached_package(OwnNetwork(str(copy))).path == path
    assert (path / "model.json").stat().st_mtime_ns == made
    second = cached_package(OwnNetwork(first.source, colour="bgr")).path
    assert {entry.name for entry in packed_folder().iterdir()} == {path.name, second.name}
    long_ago = time.time() - 7200
    os.utime(path, (long_ago, long_ago))
    third = cached_package(OwnNetwork(first.source, peak=255)).path
    assert path not in list(packed_folder().iterdir())
    assert third.is_dir()
    assert second.is_dir()  # used a moment ago, so perhaps in use
