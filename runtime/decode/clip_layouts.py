"""Find the clips in a folder; common dataset layouts are recognised by their names.

    a video file                     one clip
    a folder of videos               one clip each, at any depth
    folders of images                one clip each, at any depth: PNG, JPEG, ... in natural order
    REDS                             train_sharp/000/*.png, train_sharp_bicubic/X4/000/*.png
    Vimeo-90K septuplets             sequences/00001/0001/im1..7.png, sep_{train,test}list.txt
    Vimeo-90K triplets               sequences/00001/0001/im1..3.png, tri_{train,test}list.txt
    Vid4-like                        GT/<clip>/*.png beside BIx4/<clip>, BDx4/<clip>
    LR twins                         hr/<clip> beside lr/<clip>, as images or videos
    image pairs                      img_001_HR.png beside img_001_LR.png, or 0001.png beside
                                     0001x4.png: clips of one frame
    stills                           DIV2K_train_HR/*.png, Flickr2K_HR/*.png: clips of one frame;
                                     DIV2K_train_LR_bicubic/X4/0001x4.png are their LR

The first layout that matches is used. Hidden files are skipped.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vsrc.runtime.decode.clip_source import (
    ClipSource,
    Layout,
    Twin,
    is_hidden,
    list_pictures,
    natural_key,
)
from vsrc.runtime.decode.detection import PICTURE_SUFFIXES, VIDEO_SUFFIXES, reason_to_skip
from vsrc.runtime.decode.still_twins import (
    holds_scaled_names,
    is_scaled_name,
    lr_folders,
    twins_of,
)
from vsrc.runtime.errors import DataError
from vsrc.runtime.sample import typed_input
from vsrc.runtime.text.missing_path import describe_missing

REDS4 = ("000", "011", "015", "020")
"""Clips of REDS's training set that are held out as REDS4 (Wang et al. 2019, section 4.1)."""

_NAMED = 5
"""Most files that are named for one reason."""

_HR_NAMES = ("hr", "gt", "high", "target")
_LR_NAME = re.compile(r"(lr|lq|low|input)([-_]?(bicubic|x[2-8]))*|x[2-8]")


@dataclass(frozen=True)
class SkippedFile:
    """A file of a folder that is not read.

    Attributes:
        name: Path below the folder, or as it was named.
        reason: Why it is no video, in words.
    """

    name: str
    reason: str


def find_clips(root: Path, *, scale: int | None = None) -> Layout:
    """Recognise the layout of `root` and list its clips.

    Args:
        root: A folder, or a video.
        scale: SR/LR side ratio of the LR files that are wanted, where there are several; None for
            any.

    Raises:
        DataError: The folder does not exist, is an archive, or contains neither videos nor images.
    """
    if is_video_file(root):
        return Layout("a video", root, (ClipSource(Path(typed_input(root)).name, (root,)),))
    if not root.is_dir():
        if root.exists() and (command := _unpacking(root)):
            raise DataError(f"{root} is an archive; unpack it first: {command}")
        what = f"{root} is not a video" if root.exists() else describe_missing(root)
        raise DataError(f"{what}; name a video or a folder of videos or of frame folders")
    for kind, finder in _LAYOUTS.items():
        if clips := tuple(finder(root, scale)):
            return Layout(kind, root, clips)
    for path in sorted(root.iterdir()):
        if command := _unpacking(path):
            raise DataError(f"{root} contains the archive {path.name}; unpack it first: {command}")
    skipped = "".join(f"; {line}" for line in describe_skipped(find_skipped(root)))
    raise DataError(
        f"{root} contains no video ({_join_suffixes(VIDEO_SUFFIXES)}) and no folder of images "
        f"({_join_suffixes(PICTURE_SUFFIXES)}), at any depth; name the folder that does{skipped}"
    )


def is_video_file(path: Path) -> bool:
    """Whether a path is a file that is taken as a video."""
    return (
        path.is_file()
        and path.suffix.lower() not in PICTURE_SUFFIXES
        and reason_to_skip(path) is None
    )


def find_skipped(root: Path) -> list[SkippedFile]:
    """List what lies below a folder and is neither a video nor an image, in natural order."""
    return [
        SkippedFile(_name(path, root), reason)
        for path in sorted(root.rglob("*"), key=natural_key)
        if not is_hidden(path.relative_to(root)) and (reason := why_skipped(path))
    ]


def why_skipped(path: Path) -> str | None:
    """Return why a path in a folder is neither a video nor an image; None if it is, or a folder."""
    if path.is_file():
        return None if path.suffix.lower() in PICTURE_SUFFIXES else reason_to_skip(path)
    if path.is_dir():
        return _why_not_searched(path)
    return "a link to nothing" if path.is_symlink() else "a pipe, a socket or a device"


def _why_not_searched(folder: Path) -> str | None:
    """Return why the files of a folder are not searched: links are not followed, and rights."""
    if folder.is_symlink():  # its images are a clip, see `_below`
        return None if list_pictures(folder) else "a link to a folder, which is not searched"
    return None if os.access(folder, os.R_OK | os.X_OK) else "a folder that cannot be read"


def describe_skipped(skipped: Sequence[SkippedFile]) -> list[str]:
    """Return a line for each reason, which names the first files that it holds for."""
    by_reason: dict[str, list[str]] = {}
    for file in skipped:
        by_reason.setdefault(file.reason, []).append(file.name)
    lines = []
    for reason, names in by_reason.items():
        more = len(names) - _NAMED
        listed = ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
        lines.append(f"skipped, {reason}: {listed}")
    return lines


def _unpacking(path: Path) -> str:
    """Command that unpacks an archive; empty if it is none."""
    name = path.name.lower()
    where, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    if name.endswith(".zip"):
        return f"unzip -q {file} -d {where}"
    if name.endswith((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")):
        return f"tar -xf {file} -C {where}"
    if name.endswith(".7z"):
        return f"7z x {file} -o{where}"
    return f"unrar x {file} {where}/" if name.endswith(".rar") else ""


def _join_suffixes(suffixes: frozenset[str]) -> str:
    return " ".join(suffix[1:] for suffix in sorted(suffixes))


def _reds(root: Path, scale: int | None) -> Iterator[ClipSource]:
    """Find REDS as unpacked from its archives; an extra `train/` or `val/` level is allowed."""
    for sharp in sorted([*root.glob("*_sharp"), *root.glob("*/*_sharp")]):
        places = sharp.parent / f"{sharp.name}_bicubic"
        twin_root = places / f"X{scale}" if (places / f"X{scale}").is_dir() else places / "X4"
        for clip in _below(root, sharp):
            held_out = sharp.name == "val_sharp" or clip.place.name in REDS4
            yield _single(clip, _twin(clip, sharp, {"bi": twin_root}), held_out=held_out)


def _vimeo_septuplets(root: Path, _scale: int | None) -> Iterator[ClipSource]:
    return _vimeo(root, "sep")


def _vimeo_triplets(root: Path, _scale: int | None) -> Iterator[ClipSource]:
    return _vimeo(root, "tri")


def _vimeo(root: Path, lists: str) -> Iterator[ClipSource]:
    """Find the clips of Vimeo-90K in its lists; the archive contains a few more."""
    for list_file, held_out in ((f"{lists}_trainlist.txt", False), (f"{lists}_testlist.txt", True)):
        path = root / list_file
        for line in path.read_text(encoding="utf-8").split() if path.is_file() else ():
            # The lists are untrusted: no line may refer to a path outside the dataset.
            if not re.fullmatch(r"\d+/\d+", line):
                raise DataError(f"{path}: {line!r} is not a clip; expected 00001/0001")
            if files := list_pictures(root / "sequences" / line):
                yield _single(ClipSource(line, files), {}, held_out=held_out)


def _vid4_like(root: Path, _scale: int | None) -> Iterator[ClipSource]:
    truth = root / "GT"
    twins: dict[Twin, Path] = {"bi": root / "BIx4", "bd": root / "BDx4"}
    if truth.is_dir() and any(path.is_dir() for path in twins.values()):
        for clip in _below(root, truth):
            yield _single(clip, _twin(clip, truth, twins), held_out=True)


def _twin_folders(root: Path, scale: int | None) -> Iterator[ClipSource]:
    folders = sorted(path for path in root.iterdir() if path.is_dir())
    high = next((path for path in folders if path.name.lower() in _HR_NAMES), None)
    lows = [path for path in folders if _LR_NAME.fullmatch(path.name.lower())]
    if high is None or not lows:
        return
    if any(map(holds_scaled_names, lows)):
        for path in list_pictures(high):
            twins = twins_of(path, lows, scale=scale)
            yield ClipSource(_name(path, root), (path,), twins=twins, one_shot=True)
        return
    for clip in _below(root, high):
        yield replace(clip, twins=_twin(clip, high, {"given": lows[0]}))


def _picture_pairs(root: Path, scale: int | None) -> Iterator[ClipSource]:
    for truth in list_pictures(root):
        low = truth.with_name(re.sub(r"HR(?=\.\w+$)", "LR", truth.name))
        if low != truth and low.is_file():
            twin = ClipSource(low.name, (low,), one_shot=True)
            yield ClipSource(truth.name, (truth,), twins={"given": twin}, one_shot=True)
        elif not is_scaled_name(truth) and (twins := twins_of(truth, [root], scale=scale)):
            yield ClipSource(truth.name, (truth,), twins=twins, one_shot=True)


def _stills(root: Path, scale: int | None) -> Iterator[ClipSource]:
    """Find still images of many sizes."""
    for folder in [root] if root.name.endswith("_HR") else sorted(root.glob("*_HR")):
        lows = lr_folders(folder)
        for path in list_pictures(folder):
            still = ClipSource(_name(path, root), (path,))
            twins = twins_of(path, lows, scale=scale)
            yield _single(still, twins, held_out="valid" in folder.name)


def _plain(root: Path, _scale: int | None) -> Iterator[ClipSource]:
    yield from _below(root, root)


_Finder = Callable[[Path, "int | None"], Iterator[ClipSource]]
_LAYOUTS: dict[str, _Finder] = {
    "REDS": _reds,
    "Vimeo-90K septuplets": _vimeo_septuplets,
    "Vimeo-90K triplets": _vimeo_triplets,
    "Vid4-like": _vid4_like,
    "LR twin folders": _twin_folders,
    "image pairs": _picture_pairs,
    "stills": _stills,
    "videos or folders of frames": _plain,
}


def _below(root: Path, folder: Path) -> Iterator[ClipSource]:
    """Yield every video and folder of images at any depth below `folder`, named from `root`."""
    for path in sorted([folder, *folder.rglob("*")], key=natural_key):
        if is_hidden(path.relative_to(folder)):
            continue
        if path.is_dir():
            if files := list_pictures(path):
                yield ClipSource(_name(path, root), files)
        elif is_video_file(path):
            yield ClipSource(_name(path, root), (path,))


def _name(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()


def _twin(
    clip: ClipSource, high_root: Path, low_roots: Mapping[Twin, Path]
) -> dict[Twin, ClipSource]:
    """Find the LR clips at the same relative path below each LR root."""
    twins: dict[Twin, ClipSource] = {}
    for made, low_root in low_roots.items():
        place = low_root / clip.place.relative_to(high_root)
        files = (place,) if clip.is_video and place.is_file() else list_pictures(place)
        if files:
            twins[made] = ClipSource(_name(place, low_root), files)
    return twins


def _single(clip: ClipSource, twins: dict[Twin, ClipSource], *, held_out: bool) -> ClipSource:
    """Mark a clip of a benchmark as a single shot, with its subset."""
    return replace(clip, twins=twins, subset="test" if held_out else "train", one_shot=True)
