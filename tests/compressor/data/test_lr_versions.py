"""LR frames of a clip: made by a degradation, or found beside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from support.libraries import opened
from vsrc.compressor.data.dataset import ClipDataset
from vsrc.runtime.errors import DataError
from vsrc.runtime.picture.bicubic import downscale
from vsrc.runtime.picture.fast_resize import gaussian_down

Frames = NDArray[np.uint8]
Make = Callable[..., Path]
Moving = Callable[..., Frames]


def test_bd_is_the_blurred_and_thinned_frame(videos: Make, cache: Path) -> None:
    clip = opened(videos(1), cache, degradation="bd").clips[0]
    low = clip.lr_frames(4)
    assert low is not None
    np.testing.assert_array_equal(low[5], gaussian_down(clip.hr_frames(4)[5], 4))


def test_real_degrades_each_item_anew_but_always_alike(videos: Make, cache: Path) -> None:
    library = opened(videos(1), cache, degradation="real")
    assert library.clips[0].lr_frames(4) is None
    data = ClipDataset(library, clip_length=3, patch=32, seed=1)
    items = [data[index] for index in range(4)]
    assert all((data[i].lr == items[i].lr).all() for i in range(4))
    assert items[0].lr.shape == (3, 3, 8, 8)


class TestTwins:
    @pytest.fixture
    def pairs(
        self, write_pictures: Make, moving_picture: Moving, tmp_path: Path
    ) -> Callable[[str, str], Path]:
        def make(high: str, low: str) -> Path:
            write_pictures(tmp_path / "pairs" / high / "a", moving_picture(4, 32, 48, seed=0))
            write_pictures(tmp_path / "pairs" / low / "a", moving_picture(4, 8, 12, seed=9))
            return tmp_path / "pairs"

        return make

    def test_given_takes_the_lr_that_is_there(
        self, pairs: Callable[[str, str], Path], cache: Path, moving_picture: Moving
    ) -> None:
        low = opened(pairs("hr", "lr"), cache, degradation="given").clips[0].lr_frames(4)
        np.testing.assert_array_equal(low, moving_picture(4, 8, 12, seed=9).transpose(0, 3, 1, 2))

    def test_a_named_twin_is_taken_for_its_degradation_alone(
        self, pairs: Callable[[str, str], Path], cache: Path, moving_picture: Moving
    ) -> None:
        twin = moving_picture(4, 8, 12, seed=9).transpose(0, 3, 1, 2)
        folder = pairs("GT", "BIx4")
        assert np.array_equal(twin, opened(folder, cache).clips[0].lr_frames(4))  # type: ignore[arg-type]
        made = opened(folder, cache, degradation="bd").clips[0].lr_frames(4)
        assert not np.array_equal(twin, made)  # type: ignore[arg-type]

    def test_twins_left_aside_are_said(
        self, pairs: Callable[[str, str], Path], cache: Path
    ) -> None:
        (line,) = opened(pairs("hr", "lr"), cache).layouts
        assert "LR versions (given) are not used: degradation is bi" in line

    def test_a_twin_of_another_size_is_refused(
        self, pairs: Callable[[str, str], Path], cache: Path
    ) -> None:
        folder = pairs("hr", "lr")
        with pytest.raises(
            DataError, match=r"lr/a .*4 frames, 12x8.*hr/a .*4 frames, 48x32.* scale=2"
        ):
            opened(folder, cache, degradation="given", scale=2)
        with pytest.raises(DataError, match=r"24x16.* scale=4.*max_height"):
            opened(folder, cache, degradation="given", max_height=16)

    def test_given_without_a_twin_is_refused(self, videos: Make, cache: Path) -> None:
        with pytest.raises(DataError, match=r"0\.mkv .*'given'"):
            opened(videos(1), cache, degradation="given")


@pytest.mark.parametrize("scale", [2, 4])
def test_an_lr_version_of_another_scale_is_made_here_and_that_is_said_once(
    write_pictures: Make,
    moving_picture: Moving,
    cache: Path,
    tmp_path: Path,
    scale: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    reds = tmp_path / "REDS"
    for clip in ("001", "002"):
        hr = moving_picture(3, 32, 48, seed=int(clip))
        write_pictures(reds / "train_sharp" / clip, hr)
        low = gaussian_down(hr.transpose(0, 3, 1, 2), 4).transpose(0, 2, 3, 1)
        write_pictures(reds / "train_sharp_bicubic" / "X4" / clip, low)
    first, _ = opened(reds, cache, scale=scale).clips
    found = first.lr_frames(scale)
    assert found is not None
    frame = moving_picture(3, 32, 48, seed=1)[1]
    own = downscale(frame, scale).transpose(2, 0, 1)
    assert np.array_equal(found[1], own) == (scale == 2)  # at 4 the version is read as it is
    said = [record for record in caplog.messages if "LR is made by bi instead" in record]
    assert len(said) == (scale == 2)
