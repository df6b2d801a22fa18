"""A video that several make together is the video that one makes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vsrc.runtime.decode.sources import find_sources
from vsrc.runtime.encode import segment_encoder
from vsrc.runtime.encode.targets import plan_targets
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.job import open_job
from vsrc.runtime.jobs.pieces import Piece, make_piece, split_video
from vsrc.runtime.jobs.run_sessions import RunSessions

Make = Callable[..., Any]


@pytest.fixture(scope="module")
def shots(tmp_path_factory: pytest.TempPathFactory, write_clip: Make, moving: Make) -> Path:
    """108 frames in five shots, uneven in time, with key frames that fall anywhere and sound."""
    frames = np.concatenate(
        [moving(count, seed=seed) for seed, count in enumerate((31, 5, 1, 43, 28))]
    )
    stamps = np.cumsum(np.random.default_rng(0).integers(30, 70, len(frames)))
    options = {"g": "9", "sc_threshold": "0", "bf": "2"}
    return Path(
        write_clip(
            tmp_path_factory.mktemp("shots") / "shots.mkv",
            frames,
            pts=stamps.tolist(),
            time_base=Fraction(1, 1000),
            options=options,
            sound=True,
        )
    )


@pytest.mark.parametrize(
    ("options", "window", "time_scale"),
    [
        ({}, 3, 1),
        ({}, 7, 1),
        ({"batch": 3}, 5, 1),
        ({}, 3, 2),
        ({"batch": 2}, 4, 2),
        ({"start": 1.0, "frames": 70}, 5, 1),
        ({"start": 1.0, "frames": 70}, 4, 2),
        ({"cuts": False}, 5, 1),
    ],
)
def test_pieces_in_any_order_make_the_bytes_of_one_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    shots: Path,
    enlarger: Make,
    options: dict[str, Any],
    window: int,
    time_scale: int,
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    session = enlarger(window=window, time_scale=time_scale)

    def config(name: str) -> InferConfig:
        return InferConfig((shots,), tmp_path / name, preset="ultrafast", **options)

    (whole,) = infer(config("whole.mkv"), session=session).files
    fed = {batch.tobytes() for batch in session.fed}
    session.fed.clear()
    joined = config("joined.mkv")
    (target,) = plan_targets(find_sources(joined.inputs), joined.output)
    with closing(RunSessions(joined, session)) as network, open_job(target, joined, network) as job:
        video = split_video(job)
        pieces = video.pieces(4)
        assert [0, *[piece.stop for piece in pieces]] == [
            *[piece.first for piece in pieces],
            whole.frames,
        ]
        assert len(pieces) == 4
        for at in np.random.default_rng(0).permutation(len(pieces)):
            assert not video.is_complete
            assert make_piece(video, pieces[at], lambda _: None) > 0
        assert video.is_complete
        assert make_piece(video, Piece(0, whole.frames), lambda _: None) == 0
    assert {batch.tobytes() for batch in session.fed} == fed  # the same windows in the same company
    session.fed.clear()
    infer(joined, session=session)
    assert session.fed == []
    assert (tmp_path / "joined.mkv").read_bytes() == (tmp_path / "whole.mkv").read_bytes()
    assert not list(tmp_path.glob(".*"))


def test_pieces_end_at_cuts_where_some_are_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shots: Path, enlarger: Make
) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    config = InferConfig((shots,), tmp_path / "a.mkv")
    (target,) = plan_targets(find_sources(config.inputs), config.output)
    with open_job(target, config, RunSessions(config, enlarger())) as job:
        video = split_video(job)
        assert [at for at, starts in enumerate(video.table.shots) if starts] == [31, 36, 37, 80]
        assert video.borders == [
            *(0, 8, 16, 24, 31, 36, 44, 52, 60, 68, 76, 80, 88, 96, 104, 108),
        ]
        assert [piece.stop for piece in video.pieces(3)] == [36, 80, 108]
        lengths = [stop - first for first, stop in itertools.pairwise(video.borders)]
        assert max(lengths) <= 8
        assert video.pieces(1) == [Piece(0, 108)]
        assert [piece.stop for piece in video.pieces(99)] == video.borders[1:]
