"""LMDBs as BasicSR writes them, against the same images in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.compressor.data.check import check_folder
from vsrc.compressor.data.ingest import open_library
from vsrc.compressor.data.training_clips import find_training_clips
from vsrc.runtime.errors import DataError, MediaError, MissingDependencyError
from vsrc.runtime.picture.fast_resize import gaussian_down

lmdb = pytest.importorskip("lmdb")

Frames = NDArray[np.uint8]


@pytest.fixture
def data(
    write_pictures: Callable[..., Path], moving_picture: Callable[..., Frames], tmp_path: Path
) -> Path:
    """Two clips with LR versions, as folders of images."""
    for clip in ("000", "001"):
        hr = moving_picture(4, 32, 48, seed=int(clip))
        lr = gaussian_down(hr.transpose(0, 3, 1, 2), 4).transpose(0, 2, 3, 1)
        write_pictures(tmp_path / "files" / "hr" / clip, hr)
        write_pictures(tmp_path / "files" / "lr" / clip, lr)
    return tmp_path / "files"


def pack(folder: Path, database: Path, *, listed: bool = True) -> None:
    """Write the images of a folder as BasicSR's scripts do."""
    pictures = sorted(folder.rglob("*.png"))
    environment = lmdb.open(str(database), map_size=1 << 24)
    with environment.begin(write=True) as transaction:
        for picture in pictures:
            key = picture.relative_to(folder).with_suffix("").as_posix()
            transaction.put(key.encode(), picture.read_bytes())
    environment.close()
    lines = [f"{picture.relative_to(folder).as_posix()} (32,48,3) 1\n" for picture in pictures]
    if listed:
        (database / "meta_info.txt").write_text("".join(lines), encoding="ascii")


@pytest.mark.parametrize("listed", [True, False])
def test_frames_and_twins_are_those_of_the_files(data: Path, tmp_path: Path, listed: bool) -> None:
    root = tmp_path / "packed"
    root.mkdir()
    pack(data / "hr", root / "train_GT.lmdb", listed=listed)
    pack(data / "lr", root / "train_LR_X4.lmdb", listed=listed)
    libraries = [
        open_library([folder], scale=4, degradation="given", cache=tmp_path / "cache")
        for folder in (data, root)
    ]
    files, packed = (list(library.clips) for library in libraries)
    assert [clip.name for clip in packed] == [
        "packed/train_GT.lmdb/000",
        "packed/train_GT.lmdb/001",
    ]
    for one, other in zip(files, packed, strict=True):
        np.testing.assert_array_equal(one.hr_frames(4), other.hr_frames(4))
        low, packed_low = one.lr_frames(4), other.lr_frames(4)
        assert low is not None
        assert packed_low is not None
        np.testing.assert_array_equal(low, packed_low)
    assert libraries[0].sha256 == libraries[1].sha256


def test_a_database_alone_is_a_data_folder(data: Path, tmp_path: Path) -> None:
    pack(data / "hr", tmp_path / "train_sharp.lmdb")
    report = check_folder(tmp_path / "train_sharp.lmdb")
    assert (report.layout, report.clips, report.frames) == ("LMDB", 2, 8)
    layout = find_training_clips(tmp_path / "train_sharp.lmdb")
    assert [clip.subset for clip in layout.clips] == ["test", "any"]  # 000 is one of REDS4


def test_twins_are_those_of_the_scale(data: Path, tmp_path: Path) -> None:
    for name in ("HR_sub", "LR_bicubic_X2_sub", "LR_bicubic_X4_sub"):
        pack(data / "hr", tmp_path / f"DIV2K_train_{name}.lmdb")
    for scale in (2, 4):
        clip = find_training_clips(tmp_path, scale=scale).clips[0]
        database = clip.twins["bi"].files[0].parents[1]
        assert database.name == f"DIV2K_train_LR_bicubic_X{scale}_sub.lmdb"


def test_what_a_database_lacks_is_named(data: Path, tmp_path: Path) -> None:
    database = tmp_path / "a.lmdb"
    pack(data / "hr", database)
    with (database / "meta_info.txt").open("a", encoding="ascii") as file:
        file.write("002/00000000.png (32,48,3) 1\n")
    (broken,) = [clip for clip in check_folder(database).details if clip.error]
    assert broken.name == "a.lmdb/002"
    (database / "meta_info.txt").write_text("../../etc/passwd.png (1,1,3) 1\n", encoding="ascii")
    with pytest.raises(DataError, match="is no image; expected"):
        find_training_clips(database)
    (database / "meta_info.txt").unlink()
    (database / "data.mdb").write_bytes(b"nothing")
    with pytest.raises((DataError, MediaError), match="cannot be read as LMDB"):
        find_training_clips(database)


def test_without_the_package_the_advice_installs_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack(data / "hr", tmp_path / "a.lmdb", listed=False)
    monkeypatch.setattr("vsrc.runtime.installation.is_importable", lambda _module: False)
    with pytest.raises(MissingDependencyError, match="lmdb"):
        find_training_clips(tmp_path / "a.lmdb")
