from __future__ import annotations

import gc
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from vsrc.compressor.data.dataset import ClipDataset, collate
from vsrc.compressor.data.ingest import open_library
from vsrc.compressor.data.library import ClipLibrary
from vsrc.runtime.errors import DataError
from vsrc.runtime.picture.bicubic import downscale

Frames = NDArray[np.uint8]


@pytest.fixture
def library(videos: Callable[..., Path], tmp_path: Path) -> ClipLibrary:
    return open_library([videos()], scale=4, degradation="bi", cache=tmp_path / "cache")


def dataset(library: ClipLibrary, *, seed: int = 3, augment: bool = True) -> ClipDataset:
    return ClipDataset(library, clip_length=5, patch=32, seed=seed, augment=augment)


def test_item_depends_on_seed_and_index_alone(library: ClipLibrary) -> None:
    first, second = dataset(library), dataset(library)
    first[9]  # what was drawn before must not matter
    for index in (0, 5, 10**9):
        assert first[index].source == second[index].source
        assert torch.equal(first[index].hr, second[index].hr)
    assert any(not torch.equal(first[i].hr, dataset(library, seed=4)[i].hr) for i in range(3))


def test_a_part_of_the_items_repeats_its_centre_frame(library: ClipLibrary) -> None:
    moving = ClipDataset(library, clip_length=5, patch=32, seed=3)
    mixed = ClipDataset(library, clip_length=5, patch=32, seed=3, stills=0.25)
    repeated = 0
    for index in range(100):
        before, after = moving[index], mixed[index]
        assert torch.equal(before.hr[2], after.hr[2])
        if torch.equal(before.lr, after.lr):
            assert torch.equal(before.hr, after.hr)
        else:
            repeated += 1
            assert all(torch.equal(frame, before.lr[2]) for frame in after.lr)
            assert all(torch.equal(frame, before.hr[2]) for frame in after.hr)
    assert 10 < repeated < 45


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
def test_workers_deliver_the_same_batches_as_one_process(library: ClipLibrary) -> None:
    data = dataset(library)
    alone = list(DataLoader(data, batch_size=3, collate_fn=collate))
    gc.collect()  # decoders that a forked worker must not free
    shared = list(DataLoader(data, batch_size=3, collate_fn=collate, num_workers=2))
    assert [batch.sources for batch in alone] == [batch.sources for batch in shared]
    assert all(torch.equal(a.lr, b.lr) for a, b in zip(alone, shared, strict=True))


def test_hr_crop_is_found_in_the_source_where_it_says(
    library: ClipLibrary, moving_picture: Callable[..., Frames]
) -> None:
    item = dataset(library, augment=False)[1]
    name, _, start = item.source.rpartition("@")
    source = moving_picture(12, 48, 64, seed=int(Path(name).stem))
    clip = source[int(start) : int(start) + 5].transpose(0, 3, 1, 2)
    places = [
        (top, left)
        for top in range(0, 17, 4)
        for left in range(0, 33, 4)
        if np.array_equal(clip[..., top : top + 32, left : left + 32], item.hr.numpy())
    ]
    assert len(places) == 1


@pytest.mark.parametrize("augment", [False, True])
def test_lr_is_the_crop_of_the_downscaled_whole_frame(
    library: ClipLibrary, moving_picture: Callable[..., Frames], augment: bool
) -> None:
    # MATLAB's filter is symmetric, so mirroring and transposing commute with it.
    whole = {
        f"videos/{n}.mkv@{t}": downscale(picture, 4).transpose(2, 0, 1)
        for n in range(2)
        for t, picture in enumerate(moving_picture(12, 48, 64, seed=n))
    }
    item = dataset(library, augment=augment)[2]
    name, _, start = item.source.rpartition("@")
    frames = np.stack([whole[f"{name}@{int(start) + t}"] for t in range(5)])
    variants = [frames[::time] for time in (1, -1)]
    variants += [v[..., ::-1, :] for v in variants]
    variants += [v[..., ::-1] for v in variants]
    variants += [v.swapaxes(2, 3) for v in variants]
    windows = (
        v[..., top : top + 8, left : left + 8]
        for v in (variants if augment else variants[:1])
        for top in range(v.shape[2] - 7)
        for left in range(v.shape[3] - 7)
    )
    assert any(np.array_equal(window, item.lr.numpy()) for window in windows)


def test_of_several_places_the_one_with_most_detail_is_taken(library: ClipLibrary) -> None:
    def detail(data: ClipDataset) -> float:
        crops = torch.stack([data[index].hr[2, 1] for index in range(40)]).float()
        return float(crops.diff(dim=1).abs().mean() + crops.diff(dim=2).abs().mean())

    def choosing(candidates: int) -> ClipDataset:
        return ClipDataset(
            library, clip_length=5, patch=16, seed=3, augment=False, candidates=candidates
        )

    assert detail(choosing(8)) > detail(choosing(2)) > detail(choosing(1))
    assert choosing(4)[7].source == choosing(4)[7].source
    with pytest.raises(ValueError, match="candidates=0"):
        choosing(0)


def test_every_start_of_every_shot_is_drawn(library: ClipLibrary) -> None:
    starts = {dataset(library)[index].source for index in range(300)}
    assert starts == {f"videos/{n}.mkv@{t}" for n in range(2) for t in range(8)}


def test_batch_is_float_in_unit_range(library: ClipLibrary) -> None:
    items = [dataset(library)[index] for index in range(3)]
    batch = collate(items)
    assert batch.lr.shape == (3, 5, 3, 8, 8)
    assert batch.hr.shape == (3, 5, 3, 32, 32)
    assert batch.hr.dtype == torch.float32
    assert torch.equal((batch.hr * 255).round().to(torch.uint8), torch.stack([i.hr for i in items]))
    assert len(batch.sources) == 3


def test_clips_longer_than_every_shot_are_refused(library: ClipLibrary) -> None:
    with pytest.raises(DataError, match=r"13 .*12\)"):
        ClipDataset(library, clip_length=13, patch=32, seed=0)


def test_patches_larger_than_every_frame_are_refused(library: ClipLibrary) -> None:
    with pytest.raises(DataError, match=r"patch=52 .*48\)"):
        ClipDataset(library, clip_length=5, patch=52, seed=0)


def test_patch_must_be_a_multiple_of_the_scale(library: ClipLibrary) -> None:
    with pytest.raises(ValueError, match=r"patch=30 .*scale=4"):
        ClipDataset(library, clip_length=5, patch=30, seed=0)


def test_frames_that_cannot_be_used_are_told_of(
    videos: Callable[..., Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = videos(1)
    videos(1, frames=4).joinpath("0.mkv").rename(folder / "short.mkv")
    videos(1)
    library = open_library([folder], scale=4, degradation="bi", cache=tmp_path / "cache")
    ClipDataset(library, clip_length=5, patch=32, seed=0)
    assert re.search(r"4 of 16 frames .* 5 frames", caplog.text)
