"""Pictures as a source, and as a result."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.clips.clip_frames import read_picture
from vsrc.runtime.decode.clips.picture_reader import PictureReader
from vsrc.runtime.decode.frame import ResultFrame
from vsrc.runtime.encode.picture_writer import PictureWriter
from vsrc.runtime.errors import MediaError

Make = Callable[..., Any]


def write_picture(path: Path, rgb: NDArray[np.uint8], pix_fmt: str = "rgb24") -> Path:
    with av.open(str(path), "w", options={"update": "1"}) as container:
        stream: Any = container.add_stream("mjpeg" if path.suffix == ".jpg" else "png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *rgb.shape[:2], pix_fmt
        given = "rgba" if rgb.shape[2] == 4 else "rgb24"
        frame = av.VideoFrame.from_ndarray(rgb, given).reformat(format=pix_fmt)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.fixture
def row(tmp_path: Path, moving: Make) -> list[Path]:
    """Nine pictures called im2 to im10."""
    return [write_picture(tmp_path / f"im{i}.png", rgb) for i, rgb in enumerate(moving(9), start=2)]


def test_pictures_come_in_order_at_the_rate_asked_for(row: list[Path], moving: Make) -> None:
    reader = PictureReader(row, fps=Fraction(24), name="row")
    frames = list(reader)
    np.testing.assert_array_equal(np.stack([frame.rgb for frame in frames]), moving(9))
    times = [frame.pts * reader.info.time_base for frame in frames]
    assert times == [Fraction(i, 24) for i in range(9)]
    assert [frame.name for frame in frames] == [f"im{i}" for i in range(2, 11)]
    assert str(reader.info).startswith("png 48x32 (WxH), 24 fps, 9 frames, rgb24")


def test_numbers_that_are_missing_are_told_in_the_line(row: list[Path]) -> None:
    del row[3:5]
    info = PictureReader(row, fps=Fraction(25), name="row").info
    assert "5 to 6" in str(info)


@pytest.mark.parametrize("pix_fmt", ["rgb48be", "gray16be"])
def test_16_bits_come_in_and_go_out(tmp_path: Path, pix_fmt: str) -> None:
    is_grey = pix_fmt.startswith("gray")
    shape = (32, 48) if is_grey else (32, 48, 3)
    levels = np.random.default_rng(0).integers(0, 65536, shape, np.uint16)
    path = tmp_path / "im1.png"
    write_samples(path, levels, pix_fmt)
    reader = PictureReader([path], fps=Fraction(25), name="row")
    reader.is_deep = True
    (frame,) = reader
    expected = np.repeat(levels[..., None], 3, axis=-1) if is_grey else levels
    np.testing.assert_array_equal(frame.rgb, expected)
    writer = PictureWriter(tmp_path / "out", pattern="", info=reader.info, scale=1)
    writer.write(ResultFrame(frame.rgb, pts=0, name="im1"))
    writer.finish()
    with av.open(str(tmp_path / "out" / "im1.png")) as container:
        (made,) = container.decode(video=0)
    assert made.format.name == "rgb48be"
    np.testing.assert_array_equal(made.to_ndarray(), expected)


def write_samples(path: Path, samples: NDArray[np.uint16], pix_fmt: str) -> None:
    with av.open(str(path), "w", options={"update": "1"}) as container:
        stream: Any = container.add_stream("png", rate=1)
        stream.height, stream.width, stream.pix_fmt = *samples.shape[:2], pix_fmt
        container.mux(stream.encode(av.VideoFrame.from_ndarray(samples, pix_fmt)))
        container.mux(stream.encode(None))


def test_a_picture_of_another_size_is_named(row: list[Path], moving: Make) -> None:
    write_picture(row[4], moving(1, 16, 16)[0])
    with pytest.raises(MediaError, match=r"im6\.png .*16x16, .*48x32"):
        list(PictureReader(row, fps=Fraction(25), name="row"))


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n" + bytes(40)])
def test_a_damaged_picture_is_named(row: list[Path], data: bytes) -> None:
    row[3].write_bytes(data)
    with pytest.raises(MediaError, match=r"im5\.png"):
        list(PictureReader(row, fps=Fraction(25), name="row"))


def test_transparency_is_refused_in_the_first_picture_and_later(
    row: list[Path], moving: Make
) -> None:
    opaque = np.dstack([moving(1)[0], np.full((32, 48), 255, np.uint8)])
    write_picture(row[4], opaque, "rgba")
    write_picture(row[5], opaque - np.array([0, 0, 0, 1], np.uint8), "rgba")
    reader = iter(PictureReader(row, fps=Fraction(25), name="row"))
    assert [next(reader).name for _ in range(5)] == ["im2", "im3", "im4", "im5", "im6"]
    with pytest.raises(MediaError, match=r"im7\.png has transparency"):
        next(reader)
    with pytest.raises(MediaError, match=r"im7\.png has transparency"):
        PictureReader(row[5:], fps=Fraction(25), name="row")


def test_grey_pictures_keep_their_levels(tmp_path: Path) -> None:
    levels = np.arange(48 * 32, dtype=np.uint64).reshape(32, 48) % 256
    grey = np.repeat(levels.astype(np.uint8)[..., None], 3, axis=-1)
    path = write_picture(tmp_path / "grey.png", grey, "gray")
    (frame,) = PictureReader([path], fps=Fraction(25), name="row")
    assert np.abs(frame.rgb.astype(int) - grey).max() <= 1


def results(moving: Make, names: list[str]) -> list[ResultFrame]:
    frames = moving(len(names))
    return [ResultFrame(frames[i], pts=i, name=name) for i, name in enumerate(names)]


@pytest.fixture
def info(row: list[Path]) -> Any:  # noqa: ANN401
    return PictureReader(row, fps=Fraction(25), name="row").info


def test_files_appear_together_with_their_names(tmp_path: Path, moving: Make, info: Any) -> None:  # noqa: ANN401
    folder = tmp_path / "out"
    writer = PictureWriter(folder, pattern="", info=info, scale=1)
    for frame in results(moving, ["a", "b", "c"]):
        writer.write(frame)
        assert not folder.exists()
    writer.finish()
    writer.discard()
    assert sorted(path.name for path in folder.iterdir()) == ["a.png", "b.png", "c.png"]
    np.testing.assert_array_equal(read_picture(folder / "b.png"), moving(3)[1])
    assert not list(tmp_path.glob(".*"))


def test_a_pattern_counts_from_zero_and_the_folder_keeps_its_other_files(
    tmp_path: Path,
    moving: Make,
    info: Any,  # noqa: ANN401
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    (folder / "f_001.png").write_text("old")
    writer = PictureWriter(folder, pattern="f_%03d.png", info=info, scale=1)
    for frame in results(moving, ["a", "b"]):
        writer.write(frame)
    assert (folder / "f_001.png").read_text() == "old"
    writer.finish()
    assert sorted(path.name for path in folder.iterdir()) == ["f_000.png", "f_001.png", "notes.txt"]
    np.testing.assert_array_equal(read_picture(folder / "f_001.png"), moving(2)[1])


def test_discarding_leaves_nothing(tmp_path: Path, moving: Make, info: Any) -> None:  # noqa: ANN401
    before = sorted(tmp_path.iterdir())
    writer = PictureWriter(tmp_path / "out", pattern="", info=info, scale=1)
    writer.write(results(moving, ["a"])[0])
    writer.discard()
    assert sorted(tmp_path.iterdir()) == before


def test_two_pictures_of_one_name_are_refused(tmp_path: Path, moving: Make, info: Any) -> None:  # noqa: ANN401
    writer = PictureWriter(tmp_path / "out", pattern="", info=info, scale=1)
    first, second = results(moving, ["a", "a"])
    writer.write(first)
    with pytest.raises(MediaError, match=r"a\.png.*%08d\.png"):
        writer.write(second)
    writer.discard()
