"""A network with a state, over whole jobs: stopped and resumed, in excerpts and in pieces."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.io import imread

from support.decoded import frames_of
from support.recurrence import RecurrentSteps, recurrence, slow_recurrence
from vsrc.runtime.decode.sources import find_sources
from vsrc.runtime.encode import picture_writer, segment_encoder
from vsrc.runtime.encode.segments import SegmentStore
from vsrc.runtime.encode.state_store import StateStore
from vsrc.runtime.encode.targets import plan_targets
from vsrc.runtime.errors import MismatchError, StoppedError
from vsrc.runtime.jobs import pieces as pieces_module
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.job import open_job
from vsrc.runtime.jobs.pieces import make_piece, split_video
from vsrc.runtime.jobs.run_sessions import RunSessions
from vsrc.runtime.windows import upscale
from vsrc.runtime.windows.state_session import CarriedState, StateSession

Make = Callable[..., Any]
Frames = NDArray[np.uint8]

CUT, LENGTH = 28, 84


@pytest.fixture
def frames(moving: Make) -> Frames:
    return np.concatenate([moving(CUT), moving(LENGTH - CUT, seed=1)])


@pytest.fixture(autouse=True)
def _short_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_encoder, "_FRAMES", 8)
    monkeypatch.setattr(picture_writer, "_SEGMENT_FRAMES", 8)


class StoppedSteps(RecurrentSteps):
    """In its n-th step somebody presses Ctrl+C."""

    def __init__(self, call: int) -> None:
        super().__init__()
        self._call = call

    def step(self, lr: Frames, state: CarriedState | None, /) -> Any:  # noqa: ANN401
        if self.steps == self._call:
            raise KeyboardInterrupt
        return super().step(lr, state)


def pictures_in(folder: Path) -> Frames:
    return np.stack([imread(path) for path in sorted(folder.glob("*.png"))])


def lossless_config(source: Path, output: Path, **options: Any) -> InferConfig:  # noqa: ANN401
    return InferConfig((source,), output, codec="ffv1", **options)


def test_a_video_is_what_the_loop_gives(tmp_path: Path, lossless: Make, frames: Frames) -> None:
    source = lossless("a", frames)
    for tile in (0, 16):
        config = InferConfig((source,), tmp_path / str(tile) / "%03d.png", tile=tile)
        infer(config, session=recurrence())
        expected = slow_recurrence(frames, (CUT,))
        np.testing.assert_array_equal(pictures_in(config.output.parent), expected)


@pytest.mark.parametrize(
    ("name", "call", "lost"),
    [
        ("a.mkv", 20, "nothing"),
        ("a.mkv", 47, "nothing"),
        ("a.mkv", 79, "states"),
        ("a.mkv", 79, "the last part"),
        ("%03d.png", 47, "nothing"),
        ("%03d.png", 79, "states"),
    ],
)
def test_a_resumed_run_gives_the_bytes_of_an_unbroken_one(
    tmp_path: Path, lossless: Make, frames: Frames, name: str, call: int, lost: str
) -> None:
    source = lossless("a", frames)

    def bytes_of(folder: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}

    infer(lossless_config(source, tmp_path / "whole" / name), session=recurrence())
    stopped = lossless_config(source, tmp_path / "stopped" / name)
    with pytest.raises(StoppedError, match="interrupted"):
        infer(stopped, session=StateSession(StoppedSteps(call)))
    (folder,) = tmp_path.rglob(".*resume")
    kept = sorted(folder.glob("*.segment"))
    states = sorted(folder.glob("*.state"))
    assert len(states) <= 3
    if lost == "states":
        for file in states[1:]:
            file.unlink()
        states[0].write_bytes(states[0].read_bytes()[:-1])
    if lost == "the last part":
        kept.pop().unlink()
    steps = RecurrentSteps()
    infer(stopped, session=StateSession(steps))
    assert bytes_of("stopped") == bytes_of("whole")
    stop = int(kept[-1].stem.split("-")[1])
    if lost == "nothing":
        assert steps.steps == LENGTH - stop  # nothing is computed twice
    elif lost == "the last part":
        assert steps.steps < LENGTH - stop + 8
    assert not list(tmp_path.rglob(".*"))


@pytest.mark.parametrize("stop_at", [None, 9])
def test_pieces_from_a_cut_on_are_exact_and_others_begin_earlier(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    lossless: Make,
    frames: Frames,
    stop_at: int | None,
) -> None:
    for module in (upscale, pieces_module):
        monkeypatch.setattr(module, "WARM_UP", 3)
    source = lossless("a", frames)
    config = lossless_config(source, tmp_path / "joined.mkv")
    (target,) = plan_targets(find_sources(config.inputs), config.output)
    made: list[list[int]] = []
    with (
        closing(RunSessions(config, recurrence())) as network,
        open_job(target, config, network) as job,
    ):
        pieces = split_video(job).pieces(3)
    assert [(piece.first, piece.stop) for piece in pieces] == [(0, CUT), (CUT, 52), (52, LENGTH)]
    for piece in reversed(pieces):  # the order does not matter
        for call in (stop_at, None) if stop_at else (None,):
            steps = StoppedSteps(-1 if call is None else call)
            session = StateSession(steps)
            with (
                closing(RunSessions(config, session)) as network,
                open_job(target, config, network) as job,
            ):
                video = split_video(job)
                if call is None:
                    make_piece(video, piece, lambda _: None)
                else:
                    with pytest.raises(KeyboardInterrupt):
                        make_piece(video, piece, lambda _: None)
            made.append([piece.first, steps.steps])
    if stop_at is None:
        assert made == [[52, LENGTH - 52 + 3], [CUT, 52 - CUT], [0, CUT]]
    joining = RecurrentSteps()
    infer(config, session=StateSession(joining))
    assert joining.steps == 0
    whole = lossless_config(source, tmp_path / "whole.mkv")
    infer(whole, session=recurrence())
    rest = lossless_config(source, tmp_path / "rest.mkv", start=52 / 25)
    infer(rest, session=recurrence())
    expected = frames_of(whole.output)
    assert (frames_of(rest.output)[0] != expected[52]).any()
    expected[52:] = frames_of(rest.output)
    np.testing.assert_array_equal(frames_of(config.output), expected)


def test_an_excerpt_is_warmed_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lossless: Make, frames: Frames
) -> None:
    monkeypatch.setattr(upscale, "WARM_UP", 5)
    output = tmp_path / "x" / "%03d.png"
    infer(
        InferConfig((lossless("a", frames),), output, start=40 / 25, frames=6), session=recurrence()
    )
    expected = slow_recurrence(frames[35:46])[5:]
    np.testing.assert_array_equal(pictures_in(output.parent), expected)


def test_a_batch_is_refused(tmp_path: Path, clip: Path) -> None:
    config = InferConfig((clip,), tmp_path / "a.mkv", batch=2)
    with pytest.raises(MismatchError, match="--batch 1"):
        infer(config, session=recurrence())


@pytest.mark.parametrize("how", ["bit", "end", "gone"])
def test_only_states_that_are_whole_are_found(tmp_path: Path, how: str) -> None:
    store = StateStore(SegmentStore(tmp_path / "a.mp4", "job"))
    rng = np.random.default_rng(0)
    maps: dict[str, NDArray[Any]] = {
        "one": rng.random((1, 3, 4, 5), dtype=np.float32),
        "two": rng.random((1, 2, 2, 2), dtype=np.float32).astype(np.float16),
    }
    store.save(8, maps)
    store.save(16, None)
    assert store.numbers() == [8, 16]
    found = store.load(8)
    assert found is not None
    for name, values in maps.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)
    assert store.load(16) is None
    (file,) = tmp_path.rglob("00000008.state")
    data = bytearray(file.read_bytes())
    if how == "gone":
        file.unlink()
    elif how == "end":
        file.write_bytes(data[:-1])
    else:
        data[-5] ^= 4
        file.write_bytes(data)
    assert store.numbers() == [16]
