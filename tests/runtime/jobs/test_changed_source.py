"""A source that changed is upscaled anew; one that was only touched or copied is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsrc.runtime.encode import segment_encoder
from vsrc.runtime.errors import StoppedError
from vsrc.runtime.hashing import record_content, sample_sha256
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferResult
from vsrc.runtime.jobs.share import Share

Make = Callable[..., Any]


@pytest.fixture
def library(tmp_path: Path, write_clip: Make) -> Path:
    """Two videos, long enough for bytes that no sample covers."""
    folder = tmp_path / "lib"
    folder.mkdir()
    for name in ("a", "b"):
        noise = np.random.default_rng(ord(name)).integers(0, 256, (24, 64, 96, 3), dtype=np.uint8)
        write_clip(folder / f"{name}.mkv", noise, codec="ffv1", pix_fmt="bgr0")
    return folder


def edit(path: Path, *, keeps_time: bool) -> None:
    """Change some bytes that `sample_sha256` does not read, which keeps the size."""
    before, sample = path.stat(), sample_sha256(path)
    data = bytearray(path.read_bytes())
    step = (len(data) - 4096) / 15
    place = int(7 * step + (4096 + step) / 2)
    data[place : place + 64] = bytes(value ^ 0x55 for value in data[place : place + 64])
    path.write_bytes(data)
    later = 0 if keeps_time else 10**9
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + later))
    assert sample_sha256(path) == sample


def run(library: Path, session: Any, **options: Any) -> InferResult:  # noqa: ANN401
    config = InferConfig((library,), library.parent / "out", preset="ultrafast", **options)
    return infer(config, session=session)


def skipped(result: InferResult) -> list[str]:
    lines = (file for file in result.files if any("already" in note for note in file.notes))
    return [Path(file.input).name for file in lines]


def test_an_edit_with_another_time_is_noticed(library: Path, enlarger: Make) -> None:
    run(library, enlarger())
    edit(library / "a.mkv", keeps_time=False)
    again = run(library, enlarger())
    assert skipped(again) == ["b.mkv"]
    assert "a.mkv exists; add --overwrite" in again.failures[0].error
    replaced = run(library, enlarger(), overwrite=True)
    assert (skipped(replaced), len(replaced.files)) == (["b.mkv"], 2)


def test_a_touched_source_is_the_same(library: Path, enlarger: Make) -> None:
    run(library, enlarger())
    os.utime(library / "a.mkv", (1, 1))
    assert skipped(run(library, enlarger())) == ["a.mkv", "b.mkv"]


def test_an_edit_that_keeps_size_and_time_needs_verify(library: Path, enlarger: Make) -> None:
    run(library, enlarger())
    edit(library / "a.mkv", keeps_time=True)
    assert skipped(run(library, enlarger())) == ["a.mkv", "b.mkv"]
    again = run(library, enlarger(), verify=True)
    assert skipped(again) == ["b.mkv"]


class Stopping:
    """A session in whose call number 20 somebody presses Ctrl+C."""

    def __init__(self, session: Any) -> None:  # noqa: ANN401
        self._session, self._left = session, 20
        self.label, self.network, self.graph = session.label, session.network, session.graph

    def __call__(self, lr: Any, /) -> Any:  # noqa: ANN401
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt
        return self._session(lr)

    def close(self) -> None:
        pass


@pytest.mark.parametrize(
    ("keeps_time", "verify", "resumes"),
    [(False, False, False), (True, False, True), (True, True, False)],
)
def test_a_resumed_run_compares_its_source(
    library: Path, enlarger: Make, monkeypatch: pytest.MonkeyPatch, keeps_time: bool, verify: bool,
    resumes: bool,
) -> None:  # fmt: skip
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    source, output = library / "a.mkv", library.parent / "a.mp4"
    config = InferConfig((source,), output, preset="ultrafast", verify=verify)
    with pytest.raises(StoppedError):
        infer(config, session=Stopping(enlarger()))
    edit(source, keeps_time=keeps_time)
    session = enlarger()
    infer(config, session=session)
    assert (len(session.fed) < 24) == resumes


def test_shares_compare_content_alone(
    library: Path, enlarger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 4)
    monkeypatch.setattr("vsrc.runtime.jobs.unit.LEAST_PIECE", 8)
    source, output = library / "a.mkv", library.parent / "a.mp4"
    copy = library.parent / "other machine" / "a.mkv"
    copy.parent.mkdir()
    shutil.copy(source, copy)
    os.utime(copy, (1, 1))

    def share(path: Path, index: int) -> InferResult:
        shard = Share(index, 2)
        config = InferConfig((path,), output, preset="ultrafast", shard=shard)
        return infer(config, session=enlarger())

    assert share(source, 1).pieces
    assert share(copy, 2).files[0].frames == 24
    output.unlink()
    assert share(source, 1).pieces
    edit(copy, keeps_time=True)
    with pytest.raises(Exception, match="segments of another job"):
        share(copy, 2)


def test_a_record_is_known_by_size_time_and_samples(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(os.urandom(200_000))
    first = record_content(path)
    forged = type(first)(first.size_bytes, first.mtime_ns, first.sample_sha256, "0" * 64)
    assert record_content(path, [forged]) == forged
    assert record_content(path, [forged], verify=True) == first
    os.utime(path, (1, 1))
    assert record_content(path, [forged]).sha256 == first.sha256
