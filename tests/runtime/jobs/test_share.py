"""Shares of many inputs: together they are all of them, and no input is in two."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from vsrc.cli import main
from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.sources import Source
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.encode import segment_encoder
from vsrc.runtime.encode.targets import Target
from vsrc.runtime.errors import DeviceMemoryError, MediaError
from vsrc.runtime.jobs import unit
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.share import Unit, parse_share, select_share

Make = Callable[..., Any]
Frames = NDArray[np.uint8]


@pytest.mark.parametrize("count", [1, 2, 3, 8])
@pytest.mark.parametrize("inputs", [0, 1, 5, 8])
def test_shares_cover_all_inputs_once(count: int, inputs: int) -> None:
    source = Source("a", (Path("a"),), is_pictures=False)
    targets = [Target(source, Path(f"{at}.mp4"), is_pictures=False) for at in range(inputs)]
    units = [Unit(target, number, 2) for target in targets for number in range(2)]
    shares = [select_share(units, parse_share(f"{at}/{count}")) for at in range(1, count + 1)]
    backwards = [
        select_share(units[::-1], parse_share(f"{at}/{count}")) for at in range(1, count + 1)
    ]
    assert shares == backwards  # whatever order a file system lists them in
    together = [unit for share in shares for unit in share]
    assert sorted(together, key=units.index) == units
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3", "-1/2"])
def test_what_is_no_share_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=rf"{text}.* ([12]/4|1/2 to 2/2)"):
        parse_share(text)


def test_machines_fill_one_folder_together(
    tmp_path: Path, clip: Path, enlarger: Make, tiny_package: Path
) -> None:
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for name in "abc":
        shutil.copy(clip, library / f"{name}.mp4")
    config = InferConfig((library,), output, shard=parse_share("1/2"), frames=2)
    assert len(infer(config, session=enlarger()).files) == 2
    arguments = ["infer", str(library), "-o", str(output), "-m", str(tiny_package)]
    done = CliRunner().invoke(main, [*arguments, "--shard", "2/2", "--frames", "2", "--json"])
    assert done.exit_code == 0, done.output
    assert [Path(file["output"]).name for file in json.loads(done.stdout)["files"]] == ["b.mp4"]
    manifests = ["vsrc-manifest-1-of-2.json", "vsrc-manifest-2-of-2.json"]
    assert sorted(path.name for path in output.iterdir()) == [
        *("a.mp4", "b.mp4", "c.mp4"),
        *manifests,
    ]
    items = [
        item for name in manifests for item in json.loads((output / name).read_text())["items"]
    ]
    for item in items:
        data = (output / item["output"]).read_bytes()
        assert item["sha256"] == hashlib.sha256(data).hexdigest()
    assert sorted(item["output"] for item in items) == ["a.mp4", "b.mp4", "c.mp4"]
    none = CliRunner().invoke(main, [*arguments, "--shard", "4/4"])
    assert (none.exit_code, none.stdout) == (0, "")
    assert "--shard 4/4: nothing to do" in none.stderr


def test_a_library_goes_on_behind_what_is_done(tmp_path: Path, clip: Path, enlarger: Make) -> None:
    library, output = tmp_path / "library", tmp_path / "out"
    library.mkdir()
    for name in "abc":
        shutil.copy(clip, library / f"{name}.mp4")
    (library / "b.mp4").write_bytes(b"no video")
    config = InferConfig((library,), output, frames=2)
    session = enlarger()
    first = infer(config, session=session)
    assert [failure.input for failure in first.failures] == ["b.mp4"]
    (item,) = [
        item
        for item in json.loads((output / "vsrc-manifest.json").read_text())["items"]
        if item["error"]
    ]
    assert item["input"] == "b.mp4"
    shutil.copy(clip, library / "b.mp4")
    (output / "c.mp4").write_bytes((output / "c.mp4").read_bytes()[:-1])  # not as it was
    session.fed.clear()
    again = infer(config, session=session)
    assert [Path(file.output).name for file in again.files] == ["a.mp4", "b.mp4"]
    assert "skipped" in again.files[0].notes[0]
    assert [failure.input for failure in again.failures] == ["c.mp4"]  # --overwrite was not said
    assert len(session.fed) == 2
    other = infer(InferConfig((library,), output, frames=2, crf=40), session=session)
    assert len(other.failures) == 3  # these are results of another job


def test_a_file_whose_tiles_became_smaller_is_known_again(
    tmp_path: Path, clip: Path, enlarger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = tmp_path / "library"
    library.mkdir()
    for name in "ab":
        shutil.copy(clip, library / f"{name}.mp4")
    config, session = InferConfig((library,), tmp_path / "out", frames=2), enlarger()
    whole = type(session).__call__

    def hungry(self: object, lr: Frames, /) -> object:
        if lr.shape[2:4] == (32, 48):
            raise DeviceMemoryError("no more memory")
        return whole(self, lr)

    monkeypatch.setattr(enlarger, "__call__", hungry)
    first = infer(config, session=session)
    assert "tiles of 24" in first.files[0].notes[0]
    again = infer(config, session=session)
    assert ["already" in file.notes[0] for file in again.files] == [True, True]


@pytest.fixture
def long_clip(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, write_clip: Make, moving: Make
) -> Path:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    monkeypatch.setattr(unit, "LEAST_PIECE", 16)
    return Path(write_clip(tmp_path / "long.mp4", moving(60), sound=True))


def config_of(clip: Path, output: Path, share: str = "", **options: Any) -> InferConfig:  # noqa: ANN401
    shard = parse_share(share) if share else None
    return InferConfig((clip,), output, shard=shard, preset="ultrafast", **options)


def test_shares_of_one_long_video_are_joined_by_the_last(
    tmp_path: Path, long_clip: Path, enlarger: Make
) -> None:
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    infer(config_of(long_clip, whole), session=enlarger())
    for share in ("2/3", "3/3"):
        result = infer(config_of(long_clip, joined, share), session=enlarger())
        assert (result.files, len(result.pieces)) == ((), 1)
        assert result.pieces[0].made == result.pieces[0].stop - result.pieces[0].first
    again = infer(config_of(long_clip, joined, "3/3"), session=enlarger())
    assert again.pieces[0].made == 0
    last = infer(config_of(long_clip, joined, "1/3"), session=enlarger())
    assert [file.frames for file in last.files] == [60]
    own = last.files[0]
    first_piece = min(piece.first for piece in result.pieces + again.pieces)
    assert 60 - own.kept_frames <= first_piece  # what it upscaled itself, not what it joined
    assert f"{60 - own.kept_frames} of them upscaled now at {own.fps:.3g} fps" in own.line
    assert joined.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.glob(".*"))
    manifests = [
        json.loads((tmp_path / f"joined.mp4.manifest-{share}-of-3.json").read_text())
        for share in (1, 2, 3)
    ]
    (items) = [item for manifest in manifests for item in manifest["items"]]
    made = sorted((part["first"], part["stop"]) for item in items for part in item["segments"])
    assert [0, *[stop for _, stop in made]] == [*[first for first, _ in made], 60]
    assert len({item["job"] for item in items}) == 1
    assert [item["sha256"] for item in items] == [
        hashlib.sha256(whole.read_bytes()).hexdigest(),
        None,
        None,
    ]
    done = infer(config_of(long_clip, joined, "2/3"), session=enlarger())  # the same command again
    assert "skipped" in done.files[0].notes[0]


def test_any_machine_joins_what_was_carried_together(
    tmp_path: Path, long_clip: Path, enlarger: Make
) -> None:
    whole = tmp_path / "whole.mp4"
    infer(config_of(long_clip, whole), session=enlarger())
    for machine, share in (("a", "1/2"), ("b", "2/2")):  # each with a disk and a copy of its own
        folder = tmp_path / machine
        folder.mkdir()
        shutil.copy(long_clip, folder / long_clip.name)
        result = infer(
            config_of(folder / long_clip.name, folder / "x.mp4", share), session=enlarger()
        )
        assert len(result.pieces) == 1
    (store,) = (tmp_path / "b").glob(".x.mp4.vsrc-resume")
    shutil.copytree(store, tmp_path / "a" / store.name, dirs_exist_ok=True)
    session = enlarger()
    infer(config_of(tmp_path / "a" / long_clip.name, tmp_path / "a" / "x.mp4"), session=session)
    assert session.fed == []
    assert (tmp_path / "a" / "x.mp4").read_bytes() == whole.read_bytes()


def test_a_share_never_throws_away_what_others_made(
    tmp_path: Path, long_clip: Path, enlarger: Make
) -> None:
    output = tmp_path / "x.mp4"
    infer(config_of(long_clip, output, "1/2"), session=enlarger())
    kept = sorted(tmp_path.rglob("*.segment"))
    with pytest.raises(MediaError, match=r"\.x\.mp4\.vsrc-resume"):
        infer(config_of(long_clip, output, "2/2", crf=40), session=enlarger())
    assert sorted(tmp_path.rglob("*.segment")) == kept


def test_a_file_that_is_not_what_it_was_behind_a_jump_is_read_from_its_beginning(
    tmp_path: Path, long_clip: Path, enlarger: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, joined = tmp_path / "whole.mp4", tmp_path / "joined.mp4"
    infer(config_of(long_clip, whole), session=enlarger())
    jumps: list[int] = []
    iterate = VideoReader.__iter__

    def jump(_: VideoReader, pts: int) -> None:
        jumps.append(pts)

    def changed(reader: VideoReader) -> Iterator[SourceFrame]:
        jumped = bool(jumps)
        jumps.clear()
        for at, frame in enumerate(iterate(reader)):
            yield replace(frame, rgb=255 - frame.rgb) if jumped and at > 40 else frame

    monkeypatch.setattr(VideoReader, "seek", jump)
    monkeypatch.setattr(VideoReader, "__iter__", changed)
    for share in ("2/2", "1/2"):
        infer(config_of(long_clip, joined, share), session=enlarger())
    assert joined.read_bytes() == whole.read_bytes()


def test_a_source_that_changes_between_the_shares_is_named(
    tmp_path: Path, long_clip: Path, enlarger: Make
) -> None:
    output = tmp_path / "x.mp4"
    infer(config_of(long_clip, output, "1/2"), session=enlarger())
    (table,) = tmp_path.rglob("frames.json")
    columns = json.loads(table.read_text())
    columns["crcs"][50] += 1
    table.write_text(json.dumps(columns))
    with pytest.raises(MediaError, match=r"long\.mp4 .*frame 50 "):
        infer(config_of(long_clip, output, "2/2"), session=enlarger())


def test_pictures_and_deep_video_are_cut_up_too(
    tmp_path: Path, long_clip: Path, enlarger: Make, write_clip: Make, moving: Make
) -> None:
    infer(config_of(long_clip, tmp_path / "row" / "%03d.png"), session=enlarger(scale=1))
    deep = write_clip(tmp_path / "deep.mkv", moving(60), pix_fmt="yuv420p10le")
    for name, source in (("row", tmp_path / "row"), ("deep", deep)):
        whole, joined = tmp_path / f"{name}-1.mkv", tmp_path / f"{name}-2.mkv"
        infer(config_of(source, whole), session=enlarger())
        for share in ("1/2", "2/2"):
            result = infer(config_of(source, joined, share), session=enlarger())
        assert len(result.files) == 1
        assert joined.read_bytes() == whole.read_bytes()
