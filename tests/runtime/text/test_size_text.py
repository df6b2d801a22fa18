from __future__ import annotations

import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.text.size_text import format_shape, format_size, hint_at_swapped_shape


def test_sizes_name_their_axes() -> None:
    assert format_shape(180, 320) == "180x320 (HxW)"
    assert format_size(320, 180) == "320x180 (WxH)"


@pytest.mark.parametrize("shape", [(1920, 1080), (1280, 720), (3840, 2160)])
def test_usual_landscape_sizes_are_hinted_at(shape: tuple[int, int]) -> None:
    hint = hint_at_swapped_shape(*shape)
    assert hint is not None
    assert hint.endswith(f"--shape {shape[1]}x{shape[0]}")
    assert hint_at_swapped_shape(*reversed(shape)) is None


@pytest.mark.parametrize("shape", [(320, 180), (480, 270), (1921, 1080), (640, 360), (1080, 1080)])
def test_nothing_else_is_hinted_at(shape: tuple[int, int]) -> None:
    assert hint_at_swapped_shape(*shape) is None


def test_the_hint_comes_once_and_changes_nothing() -> None:
    words = ["bench", "no.vsrc", "--shape", "1920x1080"]
    done = CliRunner().invoke(main, words)
    assert done.stderr.count("--shape 1080x1920") == 1
    assert done.exit_code == 1  # for the model that does not exist
    done = CliRunner().invoke(main, ["bench", "no.vsrc", "--shape", "1080x1920"])
    assert "portrait" not in done.stderr
