"""A source that changed is upscaled anew; one that was only touched or copied is not."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vsrc.runtime.encode import segment_encoder
from vsrc.runtime.errors import StoppedError
from vsrc.runtime.hashing import record_content, sample_sha256
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferResult
from vsrc.runtime.jobs.share import Share
from vsrc.runtime.media_access import allow_media

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


def write_raw(path: Path, first: int = 0) -> Path:
    """24 frames of raw noise, in a video or one PPM each: all files have one size.

    Args:
        path: Video, or folder of images.
        first: Number of the first frame that another noise replaces; 0 for none.
    """
    frames = np.random.default_rng(5).integers(0, 256, (24, 64, 96, 3), dtype=np.uint8)
    if first:
        frames[first : first + 10] = 255 - frames[first : first + 10]
    if path.suffix:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("rawvideo", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "bgr24"
            for frame in frames:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        return path
    path.mkdir(exist_ok=True)
    for number, frame in enumerate(frames):
        (path / f"{number:02}.ppm").write_bytes(b"P6 96 64 255\n" + frame.tobytes())
    return path


def set_times(place: Path, seconds: int) -> None:
    for path in (place, *place.rglob("*")):
        os.utime(path, (seconds, seconds))


KINDS = {"video": "film.avi", "images": "film", "playlist": "list.ffconcat"}


@pytest.fixture(params=KINDS)
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A source in a folder of its own, with times of its files long ago."""
    folder = tmp_path / "lib"
    folder.mkdir()
    write_raw(folder / ("film" if request.param == "images" else "film.avi"))
    (folder / "list.ffconcat").write_text("ffconcat version 1.0\nfile film.avi\n")
    set_times(folder, 10**9)
    with allow_media(playlists=True):
        yield folder / KINDS[request.param]


CHANGES = {  # whether frames are replaced, time of the files after it, whether it is another source
    "nothing": (False, 10**9, False),
    "touched": (False, 10**9 + 5, False),
    "replaced, with the old time": (True, 10**9, True),
    "replaced": (True, 10**9 + 5, True),
}


def change(source: Path, name: str) -> bool:
    replaces, seconds, is_other = CHANGES[name]
    film = source.with_name("film" if source.is_dir() else "film.avi")
    write_raw(film, first=9 if replaces else 0)
    set_times(source.parent, seconds)
    return is_other


@pytest.mark.parametrize("name", CHANGES)
def test_a_batch_notices_a_change_of_any_source(source: Path, enlarger: Make, name: str) -> None:
    other = write_raw(source.parent.parent / "other.avi")
    config = InferConfig((source, other), source.parent.parent / "out", preset="ultrafast")
    assert infer(config, session=enlarger()).failures == ()
    is_other = change(source, name)
    again = infer(config, session=enlarger())
    assert skipped(again) == ([] if is_other else [source.name]) + ["other.avi"]
    assert ["add --overwrite" in failure.error for failure in again.failures] == [True] * is_other


@pytest.mark.parametrize("name", CHANGES)
def test_a_resumed_run_notices_a_change_of_any_source(
    source: Path, enlarger: Make, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    output = source.parent.parent / "a.mp4"
    config = InferConfig((source,), output, preset="ultrafast")
    with pytest.raises(StoppedError):
        infer(config, session=Stopping(enlarger()))
    is_other = change(source, name)
    session = enlarger()
    infer(config, session=session)
    assert (len(session.fed) == 24) == is_other
    whole = replace(config, output=output.with_name("whole.mp4"))
    infer(whole, session=enlarger())
    assert output.read_bytes() == whole.output.read_bytes()
