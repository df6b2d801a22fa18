"""Which files make which source."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vsrc.runtime.decode.sources import find_skipped_of, find_sources
from vsrc.runtime.errors import DataError, MediaError


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in (
        "a.mp4", "b.mkv", "notes.txt", "more/c.mov", "empty/readme.md",
        "frames/im2.png", "frames/im10.png", "frames/im1.png", "other/x.jpg",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*inputs: str | Path) -> list[list[str]]:
    return [[str(file) for file in source.files] for source in find_sources(inputs)]


def test_videos_are_sources_of_their_own(library: Path) -> None:
    assert names("a.mp4", library / "b.mkv") == [["a.mp4"], [str(library / "b.mkv")]]


def test_a_folder_of_pictures_is_one_source_in_natural_order(library: Path) -> None:
    assert library.exists()
    assert names("frames") == [["frames/im1.png", "frames/im2.png", "frames/im10.png"]]


@pytest.mark.parametrize("inputs", [("frames/*.png",), ("frames/im1.png", "frames/im2.png")])
def test_pictures_of_one_folder_are_one_source_whoever_expands_the_glob(
    library: Path, inputs: tuple[str, ...]
) -> None:
    assert library.exists()
    found = names(*inputs)
    assert len(found) == 1
    assert found[0][:2] == ["frames/im1.png", "frames/im2.png"]


def test_pictures_of_two_folders_are_two_sources(library: Path) -> None:
    assert library.exists()
    assert [len(files) for files in names("frames/*.png", "other/x.jpg")] == [3, 1]


def test_a_glob_takes_what_is_video_or_picture(library: Path) -> None:
    assert library.exists()
    assert names("*.m*") == [["a.mp4"], ["b.mkv"]]
    assert names("**/*.mov") == [["more/c.mov"]]


def test_a_library_is_searched_at_any_depth(library: Path) -> None:
    found = [files[0] for files in names(library)]
    assert [Path(file).name for file in found] == ["a.mp4", "b.mkv", "im1.png", "c.mov", "x.jpg"]


def test_a_pattern_is_one_source(library: Path) -> None:
    assert library.exists()
    assert names("frames/im%d.png") == [["frames/im1.png", "frames/im2.png", "frames/im10.png"]]
    with pytest.raises(MediaError, match=r"frames/none%04d\.png "):
        find_sources(["frames/none%04d.png"])


def test_what_matches_nothing_is_said(library: Path) -> None:
    assert library.exists()
    with pytest.raises(MediaError, match=r"'\*\.avi' "):
        find_sources(["*.avi"])
    with pytest.raises(MediaError, match=r"'\*\.txt' .* 1 "):
        find_sources(["*.txt"])
    with pytest.raises(DataError, match=r"empty .*mp4"):
        find_sources(["empty"])


@pytest.mark.parametrize("url", ["rtsp://camera/1", "https://example.org/a.mp4", "srt://1.2.3.4:5"])
def test_a_url_is_answered_with_the_pipe_that_reads_it(url: str) -> None:
    with pytest.raises(MediaError, match="reads files and pipes only") as refusal:
        find_sources([url])
    assert f"ffmpeg -i {url} -c copy -f matroska - | vsrc infer -" in str(refusal.value)
    assert "--allow-network" in str(refusal.value)


def test_a_file_may_have_a_name_like_a_url(library: Path) -> None:
    (library / "clip:").mkdir()
    (library / "clip:" / "a.mp4").touch()
    assert names("clip:/a.mp4") == [["clip:/a.mp4"]]


def test_a_missing_file_is_left_for_the_reader_to_name(library: Path) -> None:
    assert library.exists()
    assert names("none.mp4") == [["none.mp4"]]


def test_results_of_an_earlier_run_are_left_out(library: Path) -> None:
    result = library / "more" / "x4" / "c.mov"
    result.parent.mkdir()
    result.touch()
    (library / "more" / "x4" / "notes.txt").touch()
    for inputs in (["more"], ["more/**/*.mov"]):
        for output in ("more/x4", library / "more/x4", "other/../more/x4"):
            found = find_sources(inputs, output=output)
            assert [source.files for source in found] == [(Path("more/c.mov"),)]
            assert find_skipped_of(inputs, output=output) == []
    assert len(find_sources(["more"], output="elsewhere")) == 2
    assert len(find_sources(["more/x4"], output="more/x4")) == 1  # the guard of outputs refuses it
    assert len(find_sources(["more/x4/c.mov"], output="more/x4")) == 1
    (library / "more" / "c.mov").unlink()
    with pytest.raises(DataError, match=r"earlier run in more/x4"):
        find_sources(["more"], output="more/x4")


def test_a_folder_named_by_two_dots_has_a_name(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    below = library / "frames" / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    for text in ("../im1.png", "../*.png", "../im%d.png", ".."):
        (source,) = find_sources([text])
        assert (source.below or Path(source.name)) == Path("frames")


def test_what_is_no_file_is_named_among_the_skipped(tmp_path: Path) -> None:
    library, elsewhere = tmp_path / "lib", tmp_path / "elsewhere"
    for folder in (library / "deep", elsewhere / "deeper"):
        folder.mkdir(parents=True)
    (elsewhere / "deeper" / "a.mp4").write_bytes(b"")
    videos = [library / "a.mp4", library / "deep" / "b.mp4"]
    for path in videos:
        path.write_bytes(b"")
    for name in ("gone.mp4", "gone.png", "deep/gone"):
        (library / name).symlink_to("nothing")
    (library / "loop.mkv").symlink_to("loop.mkv")
    for name in ("pipe.mp4", "pipe.png", "deep/pipe"):
        os.mkfifo(library / name)
    (library / "linked").symlink_to(elsewhere)
    wanted = {
        "a link to nothing": {"gone.mp4", "gone.png", "deep/gone", "loop.mkv"},
        "a pipe, a socket or a device": {"pipe.mp4", "pipe.png", "deep/pipe"},
    }
    not_searched = {"a link to a folder, which is not searched": {"linked"}}
    for given, links in (([library], not_searched), ([f"{library}/*", f"{library}/deep/*"], {})):
        found: dict[str, set[str]] = {}
        for skipped in find_skipped_of(given):
            name = skipped.name.removeprefix(f"{library}/")
            found.setdefault(skipped.reason, set()).add(name)
        assert found == wanted | links
        assert [source.files for source in find_sources(given)] == [(path,) for path in videos]
