"""A video through the whole pipeline: what must be kept is kept, what goes wrong leaves nothing."""

from __future__ import annotations

import resource
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.decoded import frames_of, times_of
from vsrc.runtime.decode.clips.clip_frames import read_picture
from vsrc.runtime.errors import MediaError, MismatchError, MissingDependencyError
from vsrc.runtime.jobs.config import InferConfig, parse_seconds
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress
from vsrc.runtime.package import open_package

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


@pytest.fixture(autouse=True)
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """No unfinished file and no thread may outlive a job."""
    yield
    assert not [path for path in tmp_path.rglob(".*") if path.name.endswith(".pending")]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vsrc-")]


# --- pictures -------------------------------------------------------------------------------------


def test_every_frame_is_restored_from_its_window(
    tmp_path: Path, clip: Path, enlarger: Make
) -> None:
    output = tmp_path / "sr"
    session = enlarger(scale=2, window=5)
    result = infer(InferConfig((clip,), output / "%03d.png"), session=session)
    lr = frames_of(clip)
    assert result.files[0].frames == len(lr) == 24
    for index, window in enumerate(session.fed):
        around = np.clip(np.arange(index - 2, index + 3), 0, 23)
        np.testing.assert_array_equal(window[0], lr[around])
        sr = read_picture(output / f"{index:03d}.png")
        np.testing.assert_array_equal(sr, lr[index].repeat(2, 0).repeat(2, 1))
    assert not session.closed  # it belongs to the caller


def test_a_package_restores_as_its_session_does(
    tmp_path: Path, write_clip: Make, moving: Make, tiny_package: Path
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(6))
    infer(InferConfig((path,), tmp_path / "sr", model=tiny_package))
    infer(InferConfig((path,), tmp_path / "sr/%02d.png", model=tiny_package))
    session = open_package(tiny_package).session()
    lr = frames_of(path)
    for index in range(6):
        window = lr[np.clip(np.arange(index - 1, index + 2), 0, 5)]
        expected = session(window[None])[0]
        np.testing.assert_array_equal(read_picture(tmp_path / f"sr/{index:02d}.png"), expected)
    session.close()
    with av.open(str(tmp_path / "sr/a.mp4")) as container:
        assert container.streams.video[0].frames == 6


def test_batches_change_nothing(tmp_path: Path, clip: Path, enlarger: Make) -> None:
    for batch in (1, 5):
        config = InferConfig((clip,), tmp_path / f"{batch}.mkv", codec="ffv1", batch=batch)
        session = enlarger()
        infer(config, session=session)
        assert max(len(lr) for lr in session.fed) == batch
    np.testing.assert_array_equal(frames_of(tmp_path / "1.mkv"), frames_of(tmp_path / "5.mkv"))


@pytest.mark.parametrize(("start", "frames"), [(0.2, 7), (0.0, 1), (0.5, None), (0.9, 99)])
def test_an_excerpt_is_that_part_of_the_whole(
    tmp_path: Path, clip: Path, enlarger: Make, start: float, frames: int | None
) -> None:
    whole, part = enlarger(window=5), enlarger(window=5)
    infer(InferConfig((clip,), tmp_path / "whole/%d.png"), session=whole)
    config = InferConfig((clip,), tmp_path / "part.mp4", start=start, frames=frames)
    infer(config, session=part)
    first = round(start * 25 + 0.499)
    stop = 24 if frames is None else min(24, first + frames)
    np.testing.assert_array_equal(np.stack(part.fed), np.stack(whole.fed[first:stop]))
    assert times_of(tmp_path / "part.mp4") == [Fraction(i, 25) for i in range(stop - first)]


def test_a_start_behind_the_end_is_refused(tmp_path: Path, clip: Path, enlarger: Make) -> None:
    config = InferConfig((clip,), tmp_path / "a.mp4", start=99)
    with pytest.raises(MediaError, match=r"--start .*24 "):
        infer(config, session=enlarger())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (7, 3), (31, 33)])
@pytest.mark.parametrize("scale", [1, 3, 4])
def test_odd_sizes_keep_every_pixel(
    tmp_path: Path,
    write_clip: Make,
    moving: Make,
    enlarger: Make,
    size: tuple[int, int],
    scale: int,
) -> None:
    source = write_clip(tmp_path / "a.mov", moving(5, *size), codec="png", pix_fmt="rgb24")
    output = tmp_path / "b.mp4"
    infer(InferConfig((source,), output, crf=1), session=enlarger(scale=scale))
    with av.open(str(output)) as container:
        stream = container.streams.video[0]
        assert (stream.height, stream.width) == (size[0] * scale, size[1] * scale)
        odd = (size[0] * scale) % 2 or (size[1] * scale) % 2
        assert stream.pix_fmt in (("yuv444p", "yuv422p") if odd else ("yuv420p",))
        assert stream.frames == 5


def test_an_identity_network_returns_the_video(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make
) -> None:
    source = write_clip(tmp_path / "a.mkv", moving(5), codec="ffv1", pix_fmt="yuv444p")
    infer(InferConfig((source,), tmp_path / "b.mkv", codec="ffv1"), session=enlarger(scale=1))
    difference = frames_of(source).astype(int) - frames_of(tmp_path / "b.mkv")
    assert np.abs(difference).max() <= 2  # each way swscale may be off by one


def test_a_network_that_gives_another_size_is_named(
    tmp_path: Path, clip: Path, enlarger: Make
) -> None:
    session = enlarger(scale=2)
    session.network = replace(session.network, scale=3)
    wrong = session.__call__
    session = enlarger(scale=2)

    class Wrong:
        label, graph, network = "wrong", session.graph, session.network

        def __call__(self, lr: Frames, /) -> Frames:
            return np.asarray(wrong(lr))

        def close(self) -> None:
            pass

    with pytest.raises(MismatchError, match=r"wrong .*uint8 \(1, 96, 144, 3\)"):
        infer(InferConfig((clip,), tmp_path / "a.mp4"), session=Wrong())
    assert list(tmp_path.iterdir()) == []


# --- several inputs -------------------------------------------------------------------------------


def test_one_bad_file_does_not_stop_the_others(tmp_path: Path, clip: Path, enlarger: Make) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"no video")
    good = tmp_path / "good.mp4"
    shutil.copy(clip, good)
    result = infer(InferConfig((clip, bad, good), tmp_path / "out"), session=enlarger())
    assert [Path(file.output).name for file in result.files] == ["clip.mp4", "good.mp4"]
    assert [failure.input for failure in result.failures] == [str(bad)]
    assert "not a video" in result.failures[0].error
    made = sorted(path.name for path in (tmp_path / "out").glob("*.mp4"))
    assert made == ["clip.mp4", "good.mp4"]


def test_progress_counts_to_the_total(tmp_path: Path, clip: Path, enlarger: Make) -> None:
    seen: list[InferProgress] = []
    infer(InferConfig((clip,), tmp_path / "a.mp4"), session=enlarger(), progress=seen.append)
    assert [report.done for report in seen] == list(range(25))
    assert seen[0].total == 24
    assert seen[0].headline.startswith(f"{clip}: h264 48x32 (WxH), 25 fps, 24 frames, yuv420p")
    assert seen[0].headline.endswith("a.mp4: libx264 yuv420p 96x64 (WxH) by enlarger fp32 (none)")


# --- failure --------------------------------------------------------------------------------------


def test_an_error_of_the_network_leaves_the_old_output_alone(
    tmp_path: Path, clip: Path, enlarger: Make
) -> None:
    output = tmp_path / "a.mp4"
    output.write_text("old")
    session = enlarger()

    class Failing:
        label, graph, network = session.label, session.graph, session.network

        def __call__(self, lr: Frames, /) -> Frames:
            if len(session.fed) == 10:
                raise RuntimeError("out of memory")
            return np.asarray(session(lr))

        def close(self) -> None:
            pass

    with pytest.raises(MediaError, match="out of memory"):
        infer(InferConfig((clip,), output, overwrite=True), session=Failing())
    assert output.read_text() == "old"
    assert list(tmp_path.iterdir()) == [output]


@contextmanager
def small_files() -> Iterator[None]:
    """A limit of 20 kB on any file that is written, which fails as a full disk does.

    No fixture: pytest writes between a test and its end, into a file of its own, perhaps.
    """
    old = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, old)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_a_disk_that_fills_up_ends_the_job_cleanly(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, suffix: str
) -> None:
    source = write_clip(tmp_path / "a.mp4", moving(8))
    with (
        small_files(),
        pytest.raises(MediaError, match=rf"b\.{suffix}: .*No space|b\.{suffix}: .*too large"),
    ):
        infer(InferConfig((source,), tmp_path / f"b.{suffix}", crf=0), session=enlarger(scale=16))
    assert list(tmp_path.iterdir()) == [source]


def test_a_folder_that_cannot_be_written_is_named(
    tmp_path: Path, clip: Path, enlarger: Make
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(MediaError, match="file "):
        infer(InferConfig((clip,), tmp_path / "file" / "a.mp4"), session=enlarger())
    with pytest.raises(MediaError, match=r"/proc/a\.mp4 "):
        infer(InferConfig((clip,), Path("/proc/a.mp4")), session=enlarger())


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("a.xyz", {}, r"\.xyz "),
        ("a.wav", {}, r"\.wav "),
        ("a.webm", {"codec": "x264"}, "webm .*--codec av1 or vp9"),
        ("a.mp4", {"preset": "quickest"}, r"96x64 yuv420p .*crf=18, preset=quickest"),
        ("a.mp4", {"codec": "prores"}, None),
    ],
)
def test_what_cannot_be_encoded_is_refused_before_the_first_frame(
    tmp_path: Path,
    clip: Path,
    enlarger: Make,
    name: str,
    options: dict[str, str],
    words: str | None,
) -> None:
    session = enlarger()
    with pytest.raises(MediaError, match=words):
        infer(InferConfig((clip,), tmp_path / name, **options), session=session)  # type: ignore[arg-type]
    assert session.fed == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(Path("/proc/driver/nvidia").exists(), reason="NVENC may work here")
@pytest.mark.parametrize("codec", ["nvenc", "nvenc-hevc", "nvenc-av1"])
def test_nvenc_without_a_gpu_names_what_is_missing(
    tmp_path: Path, clip: Path, enlarger: Make, codec: str
) -> None:
    with pytest.raises(MissingDependencyError) as caught:
        infer(InferConfig((clip,), tmp_path / "a.mp4", codec=codec), session=enlarger(scale=4))
    assert all(word in str(caught.value) for word in ("_nvenc", "NVIDIA", "vsrc doctor", "x264"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("x265", "mp4"), ("av1", "mkv"), ("vp9", "webm"), ("prores", "mov"), ("ffv1", "mkv")],
)
def test_other_codecs(tmp_path: Path, clip: Path, enlarger: Make, codec: str, suffix: str) -> None:
    output = tmp_path / f"a.{suffix}"
    infer(InferConfig((clip,), output, codec=codec, frames=6), session=enlarger(scale=4))
    with av.open(str(output)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_time_is_read_as_people_write_it() -> None:
    assert parse_seconds("12.5") == 12.5
    assert parse_seconds("1:02") == 62
    assert parse_seconds("1:02:03.5") == 3723.5
    for text in ("", "a", "1:2:3:4", "-1", "1:-2"):
        with pytest.raises(ValueError, match=f"^'{text}' .*HH:MM:SS"):
            parse_seconds(text)


def test_what_was_found_out_about_frames_ends_with_their_input(
    tmp_path: Path, halves_package: Path, write_clip: Make, moving: Make
) -> None:
    clips = [write_clip(tmp_path / f"{n}.mkv", moving(1, seed=n), codec="ffv1") for n in range(2)]
    apart = [tmp_path / f"apart{n}.mkv" for n in range(2)]
    for clip, output in zip(clips, apart, strict=True):
        infer(InferConfig((clip,), output, model=halves_package, codec="ffv1"))
    infer(InferConfig(tuple(clips), tmp_path / "out", model=halves_package, codec="ffv1"))
    for clip, output in zip(clips, apart, strict=True):
        np.testing.assert_array_equal(frames_of(tmp_path / "out" / clip.name), frames_of(output))
