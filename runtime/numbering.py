"""Numbers in image file names: printf patterns, and gaps in image sequences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from vsrc.runtime.errors import MediaError

_PLACE = re.compile(r"%(0?)(\d*)d")


def is_pattern(path: Path) -> bool:
    """Whether the name is a printf pattern of an image sequence ("frame_%04d.png")."""
    return len(_PLACE.findall(path.name)) == 1 and path.name.count("%") == 1


def find_matching(pattern: Path) -> list[Path]:
    """Return the files that match a pattern in the order of their numbers, from any number on.

    Raises:
        MediaError: No file matches.
    """
    before, zero, digits, after = _PLACE.split(pattern.name)
    name = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    width = int(digits or 1) if zero else 1
    numbered = {}
    for file in pattern.parent.iterdir() if pattern.parent.is_dir() else ():
        number = name.fullmatch(file.name)
        if number and number[1] == f"{int(number[1]):0{width}d}":
            numbered[int(number[1])] = file
    files = [numbered[number] for number in sorted(numbered)]
    if not files:
        raise MediaError(f"{pattern} matches no file")
    return files


def describe_gaps(files: Sequence[Path]) -> str:
    """Describe the gaps of an image sequence ("numbers 3, 7 to 9 missing"); empty for none.

    Files whose names differ in more than their last number are not a numbered sequence, and one
    that counts in larger steps has no gaps.
    """
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.name) for file in files]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts) or len({(part[1], part[3]) for part in known}) != 1:
        return ""
    numbers = [int(part[2]) for part in known]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    least = min(steps, default=1)
    if least < 1 or all(step == least for step in steps):
        return ""
    gaps = [
        (before + least, before + step - least)
        for before, step in zip(numbers, steps, strict=False)
        if step > least
    ]
    words = [str(low) if low == high else f"{low} to {high}" for low, high in gaps]
    more = f" and in {len(words) - 5} more places" if len(words) > 5 else ""
    return f"numbers {', '.join(words[:5])}{more} missing"
