"""Find the clips in a folder; common dataset layouts are recognised by their names.

    a video file                     one clip
    a folder of videos               one clip each, at any depth
    folders of images                one clip each, at any depth: PNG, JPEG, ... in natural order
    REDS                             train_sharp/000/*.png, train_sharp_bicubic/X4/000/*.png
    Vimeo-90K septuplets             sequences/00001/0001/im1..7.png, sep_{train,test}list.txt
    Vid4-like                        GT/<clip>/*.png beside BIx4/<clip>, BDx4/<clip>
    LR twins                         hr/<clip> beside lr/<clip>, as images or videos
    image pairs                      img_001_HR.png beside img_001_LR.png: clips of one frame
    stills                           DIV2K_train_HR/*.png, Flickr2K_HR/*.png: clips of one frame

The first layout that matches is used. Hidden files are skipped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from vsrc.runtime.decode.detection import PICTURE_SUFFIXES, VIDEO_SUFFIXES, reason_to_skip
from vsrc.runtime.errors import DataError

Subset = Literal["train", "test", "any"]
Twin = Literal["bi", "bd", "given"]
"""Degradation of an LR clip: as its layout says, or `given` where the layout does not say."""

REDS4 = ("000", "011", "015", "020")
"""Clips of REDS's training set that are held out as REDS4 (Wang et al. 2019, section 4.1)."""

_NAMED = 5
"""Most files that are named for one reason."""

_HR_NAMES = ("hr", "gt", "high", "target")
_LR_NAMES = ("lr", "lq", "low", "input", "lr_x4", "lrx4", "x4")


@dataclass(frozen=True)
class ClipSource:
    """Source of the frames of one clip.

    Attributes:
        name: Path below the folder that was searched, for messages.
        files: One video, or the images in order.
        twins: Degradation -> LR clip of the same frames.
        subset: Subset (train, test, ...) that the lists of the layout assign it to.
        one_shot: Whether the layout guarantees that the clip has no scene cut.
    """

    name: str
    files: tuple[Path, ...]
    twins: Mapping[Twin, ClipSource] = field(default_factory=dict)
    subset: Subset = "any"
    one_shot: bool = False

    @property
    def is_video(self) -> bool:
        """Whether all frames are in one video file."""
        return len(self.files) == 1 and self.files[0].suffix.lower() not in PICTURE_SUFFIXES

    @property
    def place(self) -> Path:
        """Path of the video, or of the folder of the images."""
        return self.files[0] if self.is_video else self.files[0].parent


@dataclass(frozen=True)
class SkippedFile:
    """A file of a folder that is not read.

    Attributes:
        name: Path below the folder, or as it was named.
        reason: Why it is no video, in words.
    """

    name: str
    reason: str


@dataclass(frozen=True)
class Layout:
    """Clips in a folder.

    Attributes:
        kind: Name of the layout, for messages.
        root: Folder that was searched.
        clips: Clips sorted by name; never empty.
    """

    kind: str
    root: Path
    clips: tuple[ClipSource, ...]


def find_clips(root: Path) -> Layout:
    """Recognise the layout of `root` and list its clips.

    Raises:
        DataError: The folder does not exist, or contains neither videos nor images.
    """
    if is_video_file(root):
        return Layout("a video", root, (ClipSource(root.name, (root,)),))
    if not root.is_dir():
        what = "is not a video" if root.exists() else "does not exist"
        raise DataError(f"{root} {what}; name a video or a folder of videos or of frame folders")
    for kind, finder in _LAYOUTS.items():
        if clips := tuple(finder(root)):
            return Layout(kind, root, clips)
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
    """List the files below a folder that are neither videos nor images, in natural order."""
    found = []
    for path in sorted(root.rglob("*"), key=natural_key):
        if _is_hidden(path.relative_to(root)) or not path.is_file():
            continue
        if path.suffix.lower() not in PICTURE_SUFFIXES and (reason := reason_to_skip(path)):
            found.append(SkippedFile(_name(path, root), reason))
    return found


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


def _join_suffixes(suffixes: frozenset[str]) -> str:
    return " ".join(suffix[1:] for suffix in sorted(suffixes))


def _reds(root: Path) -> Iterator[ClipSource]:
    """Find REDS as unpacked from its archives; an extra `train/` or `val/` level is allowed."""
    for sharp in sorted([*root.glob("*_sharp"), *root.glob("*/*_sharp")]):
        twin_root = sharp.parent / f"{sharp.name}_bicubic" / "X4"
        for clip in _below(root, sharp):
            held_out = sharp.name == "val_sharp" or clip.place.name in REDS4
            yield _single(clip, _twin(clip, sharp, {"bi": twin_root}), held_out=held_out)


def _vimeo(root: Path) -> Iterator[ClipSource]:
    """Find the Vimeo-90K septuplets in its lists; the archive contains a few more."""
    for list_file, held_out in (("sep_trainlist.txt", False), ("sep_testlist.txt", True)):
        path = root / list_file
        for line in path.read_text(encoding="utf-8").split() if path.is_file() else ():
            # The lists are untrusted: no line may refer to a path outside the dataset.
            if not re.fullmatch(r"\d+/\d+", line):
                raise DataError(f"{path}: {line!r} is not a septuplet; expected 00001/0001")
            if files := _pictures(root / "sequences" / line):
                yield _single(ClipSource(line, files), {}, held_out=held_out)


def _vid4_like(root: Path) -> Iterator[ClipSource]:
    truth = root / "GT"
    twins: dict[Twin, Path] = {"bi": root / "BIx4", "bd": root / "BDx4"}
    if truth.is_dir() and any(path.is_dir() for path in twins.values()):
        for clip in _below(root, truth):
            yield _single(clip, _twin(clip, truth, twins), held_out=True)


def _twin_folders(root: Path) -> Iterator[ClipSource]:
    folders = {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir()}
    high = next((folders[name] for name in _HR_NAMES if name in folders), None)
    low = next((folders[name] for name in _LR_NAMES if name in folders), None)
    if high and low:
        for clip in _below(root, high):
            yield replace(clip, twins=_twin(clip, high, {"given": low}))


def _picture_pairs(root: Path) -> Iterator[ClipSource]:
    for truth in _pictures(root):
        low = truth.with_name(re.sub(r"HR(?=\.\w+$)", "LR", truth.name))
        if low != truth and low.is_file():
            twin = ClipSource(low.name, (low,), one_shot=True)
            yield ClipSource(truth.name, (truth,), twins={"given": twin}, one_shot=True)


def _stills(root: Path) -> Iterator[ClipSource]:
    """Find still images of many sizes; their LR files equal `bi` of HR, so they are not read."""
    for folder in [root] if root.name.endswith("_HR") else sorted(root.glob("*_HR")):
        for path in _pictures(folder):
            still = ClipSource(_name(path, root), (path,))
            yield _single(still, {}, held_out="valid" in folder.name)


def _plain(root: Path) -> Iterator[ClipSource]:
    yield from _below(root, root)


_LAYOUTS = {
    "REDS": _reds,
    "Vimeo-90K septuplets": _vimeo,
    "Vid4-like": _vid4_like,
    "LR twin folders": _twin_folders,
    "image pairs": _picture_pairs,
    "stills": _stills,
    "videos or folders of frames": _plain,
}


def _below(root: Path, folder: Path) -> Iterator[ClipSource]:
    """Yield every video and folder of images at any depth below `folder`, named from `root`."""
    for path in sorted([folder, *folder.rglob("*")], key=natural_key):
        if _is_hidden(path.relative_to(folder)):
            continue
        if path.is_dir():
            if files := _pictures(path):
                yield ClipSource(_name(path, root), files)
        elif is_video_file(path):
            yield ClipSource(_name(path, root), (path,))


def _pictures(folder: Path) -> tuple[Path, ...]:
    if not folder.is_dir():
        return ()
    pictures = (path for path in folder.iterdir() if path.suffix.lower() in PICTURE_SUFFIXES)
    return tuple(sorted((path for path in pictures if not _is_hidden(path)), key=natural_key))


def _is_hidden(path: Path) -> bool:
    """Whether a file was left by a file manager: thumbnails, resource forks."""
    return any(part.startswith((".", "__MACOSX")) for part in path.parts)


def natural_key(path: Path) -> tuple[tuple[int, int | str], ...]:
    """Sort key for natural order: `im2` before `im10`."""
    pieces = re.split(r"(\d+)", path.as_posix())
    return tuple((0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces if piece)


def _name(path: Path, root: Path) -> str:
    return path.name if path == root else path.relative_to(root).as_posix()


def _twin(
    clip: ClipSource, high_root: Path, low_roots: Mapping[Twin, Path]
) -> dict[Twin, ClipSource]:
    """Find the LR clips at the same relative path below each LR root."""
    twins: dict[Twin, ClipSource] = {}
    for made, low_root in low_roots.items():
        place = low_root / clip.place.relative_to(high_root)
        files = (place,) if clip.is_video and place.is_file() else _pictures(place)
        if files:
            twins[made] = ClipSource(_name(place, low_root), files)
    return twins


def _single(clip: ClipSource, twins: dict[Twin, ClipSource], *, held_out: bool) -> ClipSource:
    """Mark a clip of a benchmark as a single shot, with its subset."""
    return replace(clip, twins=twins, subset="test" if held_out else "train", one_shot=True)
