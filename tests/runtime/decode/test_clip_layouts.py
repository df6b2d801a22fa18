from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vsrc.runtime.decode.clip_layouts import find_clips
from vsrc.runtime.decode.clip_source import Layout
from vsrc.runtime.errors import DataError
from vsrc.runtime.sample import SAMPLE_CLIP

Touch = Callable[..., Path]


@pytest.fixture
def touch(tmp_path: Path) -> Touch:
    """Make empty files below the root: a layout is recognised by names alone."""

    def make(*names: str, text: str = "") -> Path:
        for name in names:
            path = tmp_path / "root" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "root"

    return make


def names(layout: Layout) -> list[str]:
    return [clip.name for clip in layout.clips]


def test_folder_of_videos_at_any_depth(touch: Touch) -> None:
    layout = find_clips(touch("b.MP4", "a/deep/c.mkv", "notes.txt", "._b.MP4", ".trash/d.mp4"))
    assert names(layout) == ["a/deep/c.mkv", "b.MP4"]
    assert all(clip.is_video for clip in layout.clips)


def test_folders_of_frames_are_read_in_natural_order(touch: Touch) -> None:
    root = touch(*(f"walk/im{number}.png" for number in range(1, 12)), "city/Frame 01.jpg")
    layout = find_clips(root)
    assert names(layout) == ["city", "walk"]
    assert [file.stem for file in layout.clips[1].files] == [f"im{n}" for n in range(1, 12)]


def test_a_single_video_is_a_clip(touch: Touch) -> None:
    layout = find_clips(touch("a.mp4") / "a.mp4")
    assert (layout.kind, names(layout)) == ("a video", ["a.mp4"])


def test_the_sample_clip_is_called_as_it_is_typed() -> None:
    assert names(find_clips(SAMPLE_CLIP)) == ["sample"]


def test_reds_has_bicubic_twins_and_holds_reds4_out(touch: Touch) -> None:
    root = touch(
        *(f"train_sharp/{clip}/0000000{n}.png" for clip in ("000", "001") for n in range(3)),
        *(f"train_sharp_bicubic/X4/001/0000000{n}.png" for n in range(3)),
    )
    layout = find_clips(root)
    assert layout.kind == "REDS"
    assert [(clip.name, clip.subset) for clip in layout.clips] == [
        ("train_sharp/000", "test"),
        ("train_sharp/001", "train"),
    ]
    assert not layout.clips[0].twins
    twin = layout.clips[1].twins["bi"]
    assert [file.parent.name for file in twin.files] == ["001"] * 3


def test_vimeo_takes_what_its_lists_name(touch: Touch) -> None:
    folders = ("00001/0001", "00001/0002", "00002/0001")
    root = touch(*(f"sequences/{folder}/im{n}.png" for folder in folders for n in range(1, 8)))
    touch("sep_trainlist.txt", text="00001/0001\n\n00009/0009\n")
    touch("sep_testlist.txt", text="00002/0001\n")
    layout = find_clips(root)
    assert layout.kind == "Vimeo-90K septuplets"
    assert [(clip.name, clip.subset) for clip in layout.clips] == [
        ("00001/0001", "train"),
        ("00002/0001", "test"),
    ]
    assert all(clip.one_shot and len(clip.files) == 7 for clip in layout.clips)


def test_vimeo_list_that_leads_elsewhere_is_refused(touch: Touch) -> None:
    root = touch("sequences/00001/0001/im1.png")
    touch("sep_trainlist.txt", text="../../etc\n")
    with pytest.raises(DataError, match=r"sep_trainlist\.txt: '../../etc' .*00001/0001"):
        find_clips(root)


def test_vid4_like_has_both_twins(touch: Touch) -> None:
    folders = ("GT", "BIx4", "BDx4")
    layout = find_clips(touch(*(f"{folder}/city/{n}.png" for folder in folders for n in range(2))))
    assert layout.kind == "Vid4-like"
    assert names(layout) == ["GT/city"]
    assert {made: twin.place.parent.name for made, twin in layout.clips[0].twins.items()} == {
        "bi": "BIx4",
        "bd": "BDx4",
    }


@pytest.mark.parametrize("folders", [("hr", "lr"), ("GT", "LQ"), ("High", "Low")])
def test_lr_twin_folders_hold_frames_or_videos(touch: Touch, folders: tuple[str, str]) -> None:
    files = [f"{folder}/{name}" for folder in folders for name in ("a.mp4", "b/1.png", "b/2.png")]
    layout = find_clips(touch(*files))
    assert layout.kind == "LR twin folders"
    assert [
        clip.twins["given"].files[0].relative_to(layout.root).parts[0] for clip in layout.clips
    ] == [folders[1]] * 2


def test_picture_pairs_are_clips_of_one_frame(touch: Touch) -> None:
    layout = find_clips(touch("1_HR.png", "1_LR.png", "2_HR.png", "2_LR.png"))
    assert layout.kind == "image pairs"
    assert [clip.twins["given"].name for clip in layout.clips] == ["1_LR.png", "2_LR.png"]


def test_div2k_is_stills_with_the_validation_pictures_held_out(touch: Touch) -> None:
    root = touch(
        "DIV2K_train_HR/0001.png",
        "DIV2K_train_HR/0002.png",
        "DIV2K_valid_HR/0801.png",
        "DIV2K_train_LR_bicubic/X4/0001x4.png",
    )
    layout = find_clips(root)
    assert layout.kind == "stills"
    assert [clip.subset for clip in layout.clips] == ["train", "train", "test"]
    assert [clip.name for clip in find_clips(root / "DIV2K_train_HR").clips] == [
        "0001.png",
        "0002.png",
    ]


def test_a_folder_without_clips_says_what_was_looked_for(touch: Touch) -> None:
    with pytest.raises(DataError, match=r"root .*mp4.*png"):
        find_clips(touch("readme.txt"))


def test_what_is_no_folder_is_refused(touch: Touch) -> None:
    root = touch("readme.txt")
    with pytest.raises(DataError, match=r"readme\.txt "):
        find_clips(root / "readme.txt")
    with pytest.raises(DataError, match="root/nothing "):
        find_clips(root / "nothing")


def test_vimeo_triplets_are_read_from_their_lists(touch: Touch) -> None:
    root = touch(*(f"sequences/00001/000{clip}/im{n}.png" for clip in (1, 2) for n in (1, 2, 3)))
    touch("tri_trainlist.txt", text="00001/0001\n")
    touch("tri_testlist.txt", text="00001/0002\n")
    layout = find_clips(root)
    assert layout.kind == "Vimeo-90K triplets"
    assert [(c.name, len(c.files), c.subset) for c in layout.clips] == [
        ("00001/0001", 3, "train"),
        ("00001/0002", 3, "test"),
    ]


@pytest.mark.parametrize(
    ("files", "scale", "expected"),
    [
        (
            ("DIV2K_train_HR/0001.png", "DIV2K_train_LR_bicubic/X4/0001x4.png"),
            4,
            {"bi": "DIV2K_train_LR_bicubic/X4/0001x4.png"},
        ),
        (
            ("DIV2K_train_HR/0001.png", "DIV2K_train_LR_unknown/X2/0001x2.png"),
            2,
            {"given": "DIV2K_train_LR_unknown/X2/0001x2.png"},
        ),
        (("DIV2K_train_HR/0001.png", "DIV2K_train_LR_bicubic/X4/0001x4.png"), 2, {}),
        (
            ("DIV2K_train_HR/0001.png", "DIV2K_train_LR_mild/0001x4m.png"),
            None,
            {"given": "DIV2K_train_LR_mild/0001x4m.png"},
        ),
        (
            ("HR/0001.png", "LR_bicubic/X3/0001x3.png", "LR_bicubic/X4/0001x4.png"),
            3,
            {"bi": "LR_bicubic/X3/0001x3.png"},
        ),
        (("hr/0001.png", "lr/0001x4.png"), 4, {"given": "lr/0001x4.png"}),
        (("0001.png", "0001x4.png"), 4, {"given": "0001x4.png"}),
    ],
)
def test_stills_have_twins_by_name(
    touch: Touch, files: tuple[str, ...], scale: int | None, expected: dict[str, str]
) -> None:
    root = touch(*files)
    (clip,) = find_clips(root, scale=scale).clips
    assert clip.files == (root / files[0],)
    assert clip.one_shot
    assert {made: twin.files for made, twin in clip.twins.items()} == {
        made: (root / file,) for made, file in expected.items()
    }


def test_reds_twins_are_those_of_the_scale(touch: Touch) -> None:
    root = touch(
        "train_sharp/001/00000000.png",
        *(f"train_sharp_bicubic/X{scale}/001/00000000.png" for scale in (2, 4)),
    )
    for scale, folder in ((2, "X2"), (4, "X4"), (3, "X4"), (None, "X4")):
        (clip,) = find_clips(root, scale=scale).clips
        assert clip.twins["bi"].place.parent.name == folder


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("a b.zip", "unzip -q '{root}/a b.zip' -d {root}"),
        ("REDS.tar.gz", "tar -xf {root}/REDS.tar.gz -C {root}"),
        ("a.7z", "7z x {root}/a.7z -o{root}"),
    ],
)
def test_archives_are_refused_with_what_unpacks_them(touch: Touch, name: str, command: str) -> None:
    root = touch(name)
    for place in (root, root / name):
        with pytest.raises(DataError) as caught:
            find_clips(place)
        assert str(caught.value).endswith(f"unpack it first: {command.format(root=root)}")
