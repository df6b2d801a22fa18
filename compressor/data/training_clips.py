"""Find the clips of a data folder: the layouts of files, and LMDBs as BasicSR writes them.

    train_sharp_with_val.lmdb           beside train_sharp_bicubic_with_val.lmdb    REDS
    DIV2K_train_HR_sub.lmdb             beside DIV2K_train_LR_bicubic_X4_sub.lmdb   stills
    vimeo90k_train_GT_only4th.lmdb      beside vimeo90k_train_LR7frames.lmdb        keys a/b/im4

Keys in a common folder (`000/00000012`) are the frames of one clip, others are stills.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from vsrc.runtime.decode.clip_layouts import REDS4, find_clips
from vsrc.runtime.decode.clip_source import ClipSource, Layout, Twin, natural_key
from vsrc.runtime.decode.clips.lmdb_frames import is_lmdb, list_lmdb

_LOW = re.compile(r"bicubic|(^|[_-])(lr|lq)|BIx\d|BDx\d|(^|[_-])x[2-8]($|[_-])", re.IGNORECASE)
_SCALE = re.compile(r"x([2-8])(?!\d)", re.IGNORECASE)


def find_training_clips(root: Path, *, scale: int | None = None) -> Layout:
    """Recognise the layout of a data folder, or of a database, and list its clips.

    Args:
        root: A folder of any layout of `vsrc.runtime.decode.clip_layouts`, a video, an LMDB, or a
            folder of LMDBs.
        scale: SR/LR side ratio of the LR files that are wanted, where there are several.

    Raises:
        DataError: Nothing is found.
    """
    databases = [root] if is_lmdb(root) else sorted(filter(is_lmdb, root.glob("*.lmdb")))
    if not databases:
        return find_clips(root, scale=scale)
    lows = [path for path in databases if _LOW.search(path.stem)]
    highs = [path for path in databases if path not in lows] or databases
    # A database of another scale comes last.
    lows.sort(key=lambda path: _scale_of(path) not in (scale, None))
    twins = [(_degradation(path), {key_of(p): p for p in list_lmdb(path)}) for path in lows]
    clips = [clip for path in highs for clip in _clips(path, twins if path not in lows else ())]
    return Layout("LMDB", root, tuple(clips))


def key_of(picture: Path) -> str:
    """Path of an image below its database, without suffix."""
    parts = picture.with_suffix("").parts
    start = next(at for at, part in enumerate(parts) if part.endswith(".lmdb"))
    return "/".join(parts[start + 1 :])


def _clips(database: Path, lows: Sequence[tuple[Twin, dict[str, Path]]]) -> Iterator[ClipSource]:
    groups: dict[str, list[Path]] = {}
    for picture in list_lmdb(database):
        key = key_of(picture)
        groups.setdefault(key.rpartition("/")[0] or key, []).append(picture)
    for name, pictures in groups.items():
        files = tuple(sorted(pictures, key=natural_key))
        held_out = "sharp" in database.name and name in REDS4
        yield ClipSource(
            name=f"{database.name}/{name}",
            files=files,
            twins=_twins(f"{database.name}/{name}", files, lows),
            subset="test" if held_out else "any",
            one_shot=len(files) == 1,
        )


def _twins(
    name: str, files: Sequence[Path], lows: Sequence[tuple[Twin, dict[str, Path]]]
) -> dict[Twin, ClipSource]:
    twins: dict[Twin, ClipSource] = {}
    for made, pictures in lows:
        low = tuple(pictures[key] for key in map(key_of, files) if key in pictures)
        if low and made not in twins:
            twins[made] = ClipSource(name, low)
    return twins


def _degradation(database: Path) -> Twin:
    name = database.stem.lower()
    if "bicubic" in name or "bix" in name:
        return "bi"
    return "bd" if "bdx" in name else "given"


def _scale_of(database: Path) -> int | None:
    found = _SCALE.search(database.stem)
    return int(found[1]) if found else None
