"""Shards: each crop is what its place says, and the teacher's picture that of the whole frames."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from vsrc.cli import main
from vsrc.compressor.data import open_library, split_holdout
from vsrc.compressor.data.crop_shards import CropDataset, check_shard_files, open_shards
from vsrc.compressor.data.library import ClipLibrary
from vsrc.compressor.distill import distill
from vsrc.compressor.features.clip_network import ClipNetwork
from vsrc.compressor.networks import create
from vsrc.compressor.networks.image.fsrcnn import Fsrcnn
from vsrc.compressor.networks.video.edge import build_edge
from vsrc.compressor.plan import plan
from vsrc.compressor.shard import ShardProgress, shard
from vsrc.compressor.shard_config import ShardConfig
from vsrc.compressor.training.config import DistillConfig
from vsrc.runtime.errors import DataError, MismatchError, SpecError
from vsrc.runtime.file_lock import hold_lock_file
from vsrc.runtime.latency.edge_size import EdgeSize
from vsrc.runtime.package import open_package

PATCH, SCALE, LENGTH = 32, 4, 3


def tiny_student() -> nn.Module:
    return build_edge(EdgeSize(2, 4, 1), window=LENGTH, name="tiny")


def image_teacher(scale: int = 4) -> nn.Module:
    torch.manual_seed(1)
    return Fsrcnn(scale=scale, features=8, shrunk=4, maps=1)


def clip_teacher(scale: int = 4, both_directions: bool = True) -> nn.Module:
    torch.manual_seed(2)
    arguments = {"features": 4, "blocks": 1, "both_directions": both_directions}
    return create("mobile-rrn", scale=scale, **arguments)


class StopError(Exception):
    pass


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six short videos of moving mosaics."""
    folder = tmp_path_factory.mktemp("data")
    for seed in range(6):
        mosaic = np.random.default_rng(seed).integers(0, 256, (20, 24, 3))
        canvas = np.kron(mosaic, np.ones((4, 4, 1))).astype(np.uint8)
        with av.open(str(folder / f"{seed}.mkv"), "w") as container:
            stream = container.add_stream("ffv1", rate=24)
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = 80, 64, "bgr0"
            for t in range(7):
                picture = canvas[t : t + 64, t : t + 80].copy()
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
    return folder


@pytest.fixture
def config(data: Path, tmp_path: Path) -> ShardConfig:
    return ShardConfig(
        data=(data,),
        output=tmp_path / "shards",
        teachers=(f"{__name__}:image_teacher", f"{__name__}:clip_teacher"),
        mix=(1.0, 3.0),
        crops=20,
        shard_crops=12,
        crops_per_frame=2,
        run_frames=5,
        clip_length=LENGTH,
        patch=PATCH,
        candidates=2,
        holdout=0.2,
        holdout_clips=2,
        cache=tmp_path / "cache",
    )


def library_of(config: ShardConfig) -> ClipLibrary:
    library = open_library(config.data, scale=SCALE, degradation="bi", cache=config.cache)
    return split_holdout(library, fraction=config.holdout)[0]


def test_a_crop_is_what_lies_at_its_place_and_the_teachers_see_the_whole_run(
    config: ShardConfig,
) -> None:
    shards = open_shards(shard(config))
    by_name = {clip.name: clip for clip in library_of(config).clips}
    teachers = [(0.25, image_teacher()), (0.75, clip_teacher())]
    items = CropDataset(shards, seed=0, with_teacher=True, augment=False)
    found = {item.source: item for item in (items[index] for index in range(24))}
    assert len(found) == 24
    for number in range(2):
        said = json.loads((shards.folder / f"crops-{number:05d}.json").read_text())
        place = 0
        for run in said["runs"]:
            clip, (start, stop) = by_name[run["clip"]], run["frames"]
            lr, hr = clip.lr_frames(SCALE), clip.hr_frames(SCALE)
            assert lr is not None
            fed = torch.from_numpy(lr[start:stop].copy())[None].float() / 255
            with torch.no_grad():
                mean = sum(w * ClipNetwork(t.eval())(fed, range(stop - start)) for w, t in teachers)
            assert isinstance(mean, torch.Tensor)
            pictures = (mean[0].clamp(0, 1) * 255).round().byte()
            for frame, top, left in run["crops"]:
                item = found[f"shard {number}, crop {place}"]
                at, side = start + frame, PATCH // SCALE
                window = lr[at - 1 : at + 2, :, top : top + side, left : left + side]
                rows, columns = (slice(SCALE * x, SCALE * x + PATCH) for x in (top, left))
                assert np.array_equal(item.lr.numpy(), window)
                assert np.array_equal(item.hr[0].numpy(), hr[at, :, rows, columns])
                assert item.teacher is not None
                difference = item.teacher[0].int() - pictures[frame, :, rows, columns].int()
                assert difference.abs().max() <= 1  # another order of sums rounds another way
                place += 1


def test_it_goes_on_where_it_stopped_and_gives_the_same_bytes(
    config: ShardConfig, tmp_path: Path
) -> None:
    whole = shard(config)
    again = replace(config, output=tmp_path / "again")

    def stop(now: object) -> None:
        if isinstance(now, ShardProgress) and (now.kind, now.done) == ("teacher", 1):
            raise StopError

    with pytest.raises(StopError):
        shard(again, report=stop)
    assert len(list(again.output.glob("teacher-*.u8"))) == 1
    shard(again)
    names = {path.name for path in whole.iterdir()}
    assert names == {path.name for path in again.output.iterdir()}
    for name in names:
        assert (whole / name).read_bytes() == (again.output / name).read_bytes(), name
    check_shard_files(open_shards(whole), with_teacher=True)


def test_crops_may_get_their_teacher_later(config: ShardConfig) -> None:
    alone = replace(config, teachers=(), mix=())
    folder = shard(alone)
    before = (folder / "crops-00000.u8").read_bytes()
    with pytest.raises(DataError, match=r"shards .*2 of 2 .*teacher-00000\.u8"):
        CropDataset(open_shards(folder), seed=0, with_teacher=True)
    shard(config)
    assert (folder / "crops-00000.u8").read_bytes() == before
    assert len(open_shards(folder).manifest.teachers) == 2


def test_teachers_may_compute_in_bfloat16(config: ShardConfig, tmp_path: Path) -> None:
    reduced = replace(config, output=tmp_path / "reduced", teacher_precision="bf16")
    pictures = [
        np.fromfile(shard(each) / "teacher-00000.u8", dtype=np.uint8).astype(int)
        for each in (config, reduced)
    ]
    difference = np.abs(pictures[0] - pictures[1])
    assert 0 < difference.max() <= 4  # eight bits of mantissa
    with pytest.raises(MismatchError, match="teacher_precision='bf16'"):
        shard(replace(config, output=reduced.output))


def test_teachers_see_clean_frames_where_the_student_sees_damaged_ones(
    config: ShardConfig, tmp_path: Path
) -> None:
    damaged = replace(config, output=tmp_path / "damaged", degradation="real")
    crops = [
        next(iter(CropDataset(open_shards(shard(each)), seed=0, with_teacher=True, augment=False)))
        for each in (config, damaged)
    ]
    assert crops[0].teacher is not None
    assert crops[1].teacher is not None
    assert torch.equal(crops[0].hr, crops[1].hr)
    assert torch.equal(crops[0].teacher, crops[1].teacher)
    assert not torch.equal(crops[0].lr, crops[1].lr)


def test_other_settings_are_refused(config: ShardConfig) -> None:
    shard(replace(config, teachers=(), mix=()))
    with pytest.raises(MismatchError, match=r"candidates=2, .* 3"):
        shard(replace(config, candidates=3))


def flip_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))


def shard_run(shards: Path, tmp_path: Path) -> DistillConfig:
    return DistillConfig(
        student=f"{__name__}:tiny_student",
        teacher_cache=shards,
        objective="output",
        output=tmp_path / "student.vsrc",
        steps=2,
        batch=4,
        clip_length=LENGTH,
        patch=PATCH,
        workers=0,
        device="cpu",
        holdout_clips=1,
    )


@pytest.mark.parametrize("name", ["crops-00000.u8", "teacher-00001.u8", "held.safetensors"])
def test_a_file_that_was_changed_stops_a_run_and_is_made_again(
    config: ShardConfig, tmp_path: Path, name: str
) -> None:
    folder = shard(config)
    path, run = folder / name, shard_run(folder, tmp_path)
    whole, sidecar = path.read_bytes(), path.with_suffix(".json")
    flip_bit(path)
    with pytest.raises(DataError, match=rf"{name} differs .*1 of 5 .*remove {sidecar.name}"):
        distill(run)
    assert not run.output.exists()
    sidecar.unlink()
    shard(config)
    assert path.read_bytes() == whole
    check_shard_files(open_shards(folder), with_teacher=True)


def test_teacher_outputs_that_a_run_does_not_read_may_be_damaged(
    config: ShardConfig, tmp_path: Path
) -> None:
    folder = shard(config)
    flip_bit(folder / "teacher-00001.u8")
    distill(replace(shard_run(folder, tmp_path), objective="none"))


def test_shards_of_older_versions_have_no_hash_of_their_held_out_clips(config: ShardConfig) -> None:
    folder = shard(config)
    (folder / "held.json").unlink()
    check_shard_files(open_shards(folder), with_teacher=True)


def test_a_sidecar_that_is_not_readable_counts_as_a_change(config: ShardConfig) -> None:
    folder = shard(replace(config, teachers=(), mix=()))
    (folder / "crops-00000.json").write_text("[" * 10**5)
    with pytest.raises(DataError, match=r"crops-00000\.u8 differs"):
        check_shard_files(open_shards(folder), with_teacher=False)


@pytest.mark.parametrize("pid", ["", "1", "9" * 40])
def test_a_claim_of_a_dead_process_holds_nobody_up(config: ShardConfig, pid: str) -> None:
    alone = replace(config, teachers=(), mix=())
    config.output.mkdir()
    (config.output / "crops-00000.claim").write_text(pid)
    folder = shard(alone)
    assert len(list(folder.glob("crops-*.u8"))) == open_shards(folder).manifest.shards
    assert not list(folder.glob("*.claim"))
    assert not list(folder.glob(".*"))


def test_what_another_process_writes_is_left_to_it(config: ShardConfig) -> None:
    config.output.mkdir()
    with hold_lock_file(config.output / "crops-00000.claim"):
        folder = shard(replace(config, teachers=(), mix=()))
        assert not (folder / "crops-00000.u8").exists()
    assert (folder / "crops-00001.u8").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", "3", "[" * 10**5, "\xff"])
def test_a_damaged_manifest_is_one_line(config: ShardConfig, content: str) -> None:
    config.output.mkdir()
    (config.output / "manifest.json").write_text(content, encoding="latin-1")
    with pytest.raises((DataError, SpecError), match=r"manifest\.json"):
        shard(replace(config, teachers=(), mix=()))
    with pytest.raises((DataError, SpecError), match=r"manifest\.json"):
        open_shards(config.output)


def test_every_pass_has_every_crop_once_in_another_order(config: ShardConfig) -> None:
    shards = open_shards(shard(replace(config, teachers=(), mix=())))
    items = CropDataset(shards, seed=5, with_teacher=False)
    passes = [[items[24 * n + place].source for place in range(24)] for n in range(2)]
    assert sorted(passes[0]) == sorted(passes[1])
    assert len(set(passes[0])) == 24
    assert passes[0] != passes[1]
    assert torch.equal(items[7].lr, CropDataset(shards, seed=5, with_teacher=False)[7].lr)


def test_window_truth_and_picture_are_turned_alike(config: ShardConfig) -> None:
    shards = open_shards(shard(config))
    plain = CropDataset(shards, seed=0, with_teacher=True, augment=False)
    turned = CropDataset(shards, seed=0, with_teacher=True)
    changed = 0
    for index in range(24):
        before, after = plain[index], turned[index]
        assert before.source == after.source
        assert before.teacher is not None
        assert after.teacher is not None
        # The distance between truth and picture does not depend on how both lie.
        distances = [
            (hr.int() - picture.int()).abs().sum()
            for hr, picture in ((before.hr, before.teacher), (after.hr, after.teacher))
        ]
        assert distances[0] == distances[1]
        changed += not torch.equal(before.hr, after.hr)
    assert changed > 12


def test_items_that_repeat_their_centre_frame_keep_truth_and_picture(config: ShardConfig) -> None:
    shards = open_shards(shard(config))
    moving = CropDataset(shards, seed=0, with_teacher=True)
    mixed = CropDataset(shards, seed=0, with_teacher=True, stills=0.5)
    repeated = 0
    for index in range(24):
        before, after = moving[index], mixed[index]
        assert before.teacher is not None
        assert after.teacher is not None
        assert torch.equal(before.hr, after.hr)
        assert torch.equal(before.teacher, after.teacher)
        if not torch.equal(before.lr, after.lr):
            repeated += 1
            assert all(torch.equal(frame, before.lr[len(before.lr) // 2]) for frame in after.lr)
    assert 4 < repeated < 20


def test_a_teacher_that_sees_time_one_way_is_never_played_backwards(config: ShardConfig) -> None:
    one_way = replace(
        config,
        teachers=(f"{__name__}:clip_teacher",),
        teacher_arguments=({"both_directions": False},),
        mix=(),
    )
    shards = open_shards(shard(one_way))
    assert not shards.manifest.teachers[0].sees_time_alike
    plain = CropDataset(shards, seed=0, with_teacher=True, augment=False)
    turned = CropDataset(shards, seed=0, with_teacher=True)
    for index in range(24):
        sums = [item.lr.sum((1, 2, 3), dtype=torch.int64) for item in (plain[index], turned[index])]
        assert torch.equal(sums[0], sums[1])


def test_a_student_learns_from_shards_as_it_does_from_clips(
    config: ShardConfig, tmp_path: Path
) -> None:
    """One step from the same crops, with the teacher's pictures kept or asked for."""
    shards = shard(config)
    run = shard_run(shards, tmp_path)
    distill(run)
    said = open_package(run.output).spec.provenance
    assert said.teacher == (f"0.25 {__name__}:image_teacher + 0.75 {__name__}:clip_teacher")
    assert said.frames == open_shards(shards).manifest.frames
    log = [json.loads(line) for line in (run.run_folder / "log.jsonl").read_text().splitlines()]
    assert log[-1]["loss/output"] > 0
    assert log[-1]["psnr"] > 0


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"objective": "std"}, "std .*pisr-teacher, output, perceptual, none"),
        ({"patch": 16}, "patch=32, .* 16: --set patch=32"),
        ({"scale": 2, "student": "edge-s"}, "scale=4, .* 2: --set scale=4"),
        ({"targets": "all"}, "targets='all': .*'centre'"),
    ],
)
def test_what_shards_cannot_give_is_refused(
    config: ShardConfig, tmp_path: Path, changed: dict[str, object], message: str
) -> None:
    run = replace(shard_run(shard(config), tmp_path), **changed)  # type: ignore[arg-type]
    for work in (distill, plan):
        with pytest.raises((ValueError, MismatchError), match=message):
            work(run)


def test_the_command_says_the_disk_first(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shards"
    arguments = ["shard", "--data", str(data), "-o", str(folder), "--crops", "4"]
    for setting in ("shard_crops=4", f"patch={PATCH}", f"cache={tmp_path / 'cache'}"):
        arguments += ["--set", setting]
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    assert done.stdout.strip() == str(folder)
    assert "the shards take 1.61e-05 GB of disk" in done.stderr
    wrong = CliRunner().invoke(main, [*arguments, "--set", "crop=4"])
    assert wrong.exit_code == 2
    assert "crops" in wrong.stderr
