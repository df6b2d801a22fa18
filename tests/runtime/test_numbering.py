"""Printf patterns, and gaps in the numbers of pictures."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsrc.runtime.errors import MediaError
from vsrc.runtime.numbering import describe_gaps, find_matching, is_pattern


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("f_%04d.png", ["f_0009.png", "f_0010.png", "f_12345.png"]),
        ("f_%d.png", ["f_7.png", "f_10.png", "f_12345.png"]),
        ("f_%02d.png", ["f_08.png", "f_10.png", "f_12345.png"]),
    ],
)
def test_a_pattern_stands_for_what_printf_would_write(
    tmp_path: Path, pattern: str, expected: list[str]
) -> None:
    make(tmp_path, "f_0010.png", "f_0009.png", "f_7.png", "f_10.png", "f_08.png", "f_12345.png")
    make(tmp_path, "g_0001.png", "f_0001.jpg", "f_x.png")
    assert [file.name for file in find_matching(tmp_path / pattern)] == expected


def test_a_pattern_that_matches_nothing_is_named(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "none"):
        with pytest.raises(MediaError, match=r"%04d\.png "):
            find_matching(folder / "%04d.png")


def test_what_is_a_pattern() -> None:
    for name, expected in {
        "%d.png": True, "a%08d.tif": True, "100%.mp4": False, "%d_%d.png": False, "a.png": False,
        "%s.png": False,
    }.items():  # fmt: skip
        assert is_pattern(Path("x") / name) is expected


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([1, 2, 3], ""),
        ([5], ""),
        ([0, 10, 20, 30], ""),
        ([1, 2, 4, 5], "numbers 3 missing"),
        ([1, 3, 4, 9, 10], "numbers 2, 5 to 8 missing"),
        ([0, 10, 30], "numbers 20 missing"),
        ([0, 1, 3, 5, 7, 9, 11, 13], "numbers 2, 4, 6, 8, 10 and in 1 more places missing"),
    ],
)
def test_gaps_are_named(numbers: list[int], expected: str) -> None:
    assert describe_gaps([Path(f"a/v2_f{number:04d}.png") for number in numbers]) == expected


def test_names_without_one_numbering_have_no_gaps() -> None:
    assert describe_gaps([Path("a1.png"), Path("b3.png")]) == ""
    assert describe_gaps([Path("cat.png"), Path("dog.png")]) == ""
    assert describe_gaps([Path("a3.png"), Path("a1.png"), Path("a9.png")]) == ""
