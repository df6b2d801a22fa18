"""The draw, on scenes that are made up, and its windows against frames by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.calibration.draw import draw_windows
from vsrc.calibration.feed import iter_drawn_windows
from vsrc.calibration.scenes import Scenes, lr_sources, survey
from vsrc.runtime.decode.sources import Source
from vsrc.runtime.errors import DataError
from vsrc.runtime.spec import GraphSpec, NetworkSpec

Frames = NDArray[np.uint8]


def _network(window: int = 3, time_scale: int = 1, multiple: int = 1) -> NetworkSpec:
    return NetworkSpec(
        *("made-up", {}, 2, window),
        halo=0,
        parameters=0,
        gmac_per_lr_pixel=0.0,
        time_scale=time_scale,
        size_multiple=multiple,
    )


def _graph(least: int = 1) -> GraphSpec:
    return GraphSpec("g", "", 0, "fp32", "uint8", 18, (least, 8192), (least, 8192))


def _scenes(
    lengths: list[int], brightness: float = 90.0, *, lightest: float = 200.0, contrast: float = 40.0
) -> Scenes:
    total = sum(lengths)
    starts = np.cumsum([0, *lengths[:-1]])
    return Scenes(
        source=Source("made-up", (), is_pictures=False),
        sha256="",
        pts=np.arange(total),
        starts=tuple(int(start) for start in starts),
        motion=np.linspace(0, 9, total, dtype=np.float32),
        brightness=np.linspace(brightness / 2, brightness, total, dtype=np.float32),
        lightest=np.linspace(lightest / 2, lightest, total, dtype=np.float32),
        contrast=np.linspace(contrast / 2, contrast, total, dtype=np.float32),
    )


def test_dim_and_flat_clips_are_warned_of_with_the_cause() -> None:
    usual, dim = _scenes([20]), _scenes([20], 20.0, lightest=60.0)
    flat = _scenes([20], contrast=3.0)
    assert draw_windows([usual], _network(), count=4, seed=0).notes == ()
    (note,) = draw_windows([usual, dim], _network(), count=4, seed=0).notes
    assert "dim" in note
    assert "60 of 255" in note
    own, whole = draw_windows([dim], _network(), count=4, seed=0).notes
    assert own == note
    assert "all calibration clips are dim" in whole
    own, whole = draw_windows([flat, flat], _network(), count=4, seed=0).notes[1:]
    assert "flat" in own
    assert "3.0" in own
    assert "all calibration clips are flat" in whole


def test_brightness_and_contrast_are_those_of_the_pictures(
    tmp_path: Path, write_video: Callable[[Path, Sequence[Frames]], Path]
) -> None:
    rng = np.random.default_rng(0)
    frames = np.stack([rng.integers(0, top, (64, 64), dtype=np.uint8) for top in (50, 200)])
    path = write_video(tmp_path / "grey.mkv", [np.repeat(frames[..., None], 3, axis=3)])
    scenes = survey(Source("grey", (path,), is_pictures=False))
    for at, frame in enumerate(frames):
        assert scenes.contrast[at] == pytest.approx(float(frame.std()), abs=1)
        assert scenes.lightest[at] == pytest.approx(float(np.percentile(frame, 99)), abs=2)


def test_every_shot_gives_a_window_before_any_gives_a_second() -> None:
    clips = [_scenes([200, 5, 40]), _scenes([9])]
    for count, most in ((2, 1), (4, 1), (6, 2)):
        draw = draw_windows(clips, _network(), count=count, seed=3)
        assert draw.count == count
        shots: Counter[tuple[int, int]] = Counter()
        for index, frames in enumerate(draw.frames):
            shots.update(
                (index, int(np.searchsorted(clips[index].starts, f, "right"))) for f in frames
            )
        assert max(shots.values()) == most


def test_kinds_of_motion_and_brightness_are_drawn_alike() -> None:
    clip = _scenes([900])
    rng = np.random.default_rng(0)
    clip.motion[:] = rng.permutation(clip.motion)  # so that they say nothing of each other
    draw = draw_windows([clip], _network(), count=90, seed=0)
    frames = np.array(draw.frames[0])
    assert len(set(draw.frames[0])) == 90
    for values in (clip.motion, clip.brightness):
        thirds = np.searchsorted(np.quantile(values, [1 / 3, 2 / 3]), values[frames])
        assert np.bincount(thirds).min() >= 29


def test_same_seed_same_draw() -> None:
    clips = [_scenes([50, 60])]
    one, other, third = (draw_windows(clips, _network(), count=20, seed=seed) for seed in (1, 1, 2))
    assert one == other
    assert one != third


def test_no_frame_is_drawn_twice_and_none_is_missing() -> None:
    draw = draw_windows([_scenes([7, 2, 5])], _network(), count=1000, seed=0)
    assert draw.frames == ((*range(7), *range(9, 14)),)


def test_clips_shorter_than_the_window_are_named() -> None:
    draw = draw_windows([_scenes([4]), _scenes([9])], _network(window=5), count=3, seed=0)
    assert draw.frames[0] == ()
    assert " 5 frames" in draw.notes[0]
    with pytest.raises(DataError, match=r"made-up.* 5 .* 4\)"):
        draw_windows([_scenes([4, 3])], _network(window=5), count=3, seed=0)


def test_black_clips_are_refused() -> None:
    with pytest.raises(DataError, match=r"0\.00 of 255"):
        draw_windows([_scenes([9], brightness=0.0)], _network(), count=3, seed=0)


def test_windows_are_the_frames_around_and_never_cross_a_cut(
    two_shots: Path, drifting: Callable[..., Frames]
) -> None:
    frames = np.concatenate([drifting(7, seed=1), drifting(5, seed=2)])
    network = _network(window=5)
    scenes = survey(Source("two", (two_shots,), is_pictures=False))
    assert scenes.starts == (0, 7)
    draw = draw_windows([scenes], network, count=99, seed=0)
    fed = list(iter_drawn_windows([scenes], draw, network, _graph(), tile=(99, 99), seed=0))
    assert len(fed) == 12
    for centre, window in zip(draw.frames[0], fed, strict=True):
        first, last = (0, 6) if centre < 7 else (7, 11)
        around = np.clip(np.arange(centre - 2, centre + 3), first, last)
        np.testing.assert_array_equal(window.lr[0], frames[around])


def test_windows_of_a_network_that_doubles_the_rate_follow_one_another(
    two_shots: Path, drifting: Callable[..., Frames]
) -> None:
    frames = np.concatenate([drifting(7, seed=1), drifting(5, seed=2)])
    network = _network(window=3, time_scale=2)
    scenes = survey(Source("two", (two_shots,), is_pictures=False))
    draw = draw_windows([scenes], network, count=99, seed=0)
    assert draw.frames == ((0, 2, 4, 7, 9),)
    fed = iter_drawn_windows([scenes], draw, network, _graph(), tile=(99, 99), seed=0)
    for first, window in zip(draw.frames[0], fed, strict=True):
        np.testing.assert_array_equal(window.lr[0], frames[first : first + 3])


def test_large_frames_are_cut_and_small_ones_padded(two_shots: Path) -> None:
    network = _network(multiple=4)
    scenes = survey(Source("two", (two_shots,), is_pictures=False))
    draw = draw_windows([scenes], network, count=9, seed=0)
    cut = list(iter_drawn_windows([scenes], draw, network, _graph(4), tile=(18, 30), seed=0))
    assert {window.lr.shape for window in cut} == {(1, 3, 16, 28, 3)}
    padded = next(iter_drawn_windows([scenes], draw, network, _graph(64), tile=(99, 99), seed=0))
    assert padded.lr.shape == (1, 3, 64, 64, 3)


def test_lr_twins_are_taken_where_a_data_set_has_them(
    tmp_path: Path, drifting: Callable[..., Frames], write_video: Callable[..., Path]
) -> None:
    for side, height in (("hr", 64), ("lr", 32)):
        (tmp_path / side).mkdir()
        write_video(tmp_path / side / "a.mkv", [drifting(3, seed=0, height=height)])
    (source,) = lr_sources([tmp_path], degradation="bi")
    assert source.files == (tmp_path / "lr" / "a.mkv",)
