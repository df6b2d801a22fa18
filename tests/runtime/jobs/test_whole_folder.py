"""One folder with every kind of file; ffprobe judges each result.

Each line below makes one file, after `ffmpeg -f lavfi -i SOURCE`. Frame N is grey of 30 + 16 N, so
that the order of the frames can be read from any result.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.enlarger import Frames
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferResult

Make = Callable[..., Any]

FRAMES, RATE = 12, 25
SOURCE = f"nullsrc=s=176x144:r={RATE}:d=0.48,geq=lum='30+16*N':cb=128:cr=128"

LINES = {
    "animated.apng": "",
    "animated.gif": "",
    "av1.obu": "-c:v libsvtav1 -preset 12",
    "broadcast.mxf": "-c:v mpeg2video",
    "camcorder.mod": "-c:v mpeg2video -f mpeg",
    "dvd.vob": "-c:v mpeg2video -bf 2 -f vob",
    "ffv1.nut": "-c:v ffv1",
    "h263.3gp": "-c:v h263",
    "h264.f4v": "-c:v libx264 -bf 2",
    "mjpeg.qt": "-c:v mjpeg -pix_fmt yuvj420p -f mov",
    "mpeg2.m2t": "-c:v mpeg2video -bf 2 -f mpegts",
    "mpeg2.mpe": "-c:v mpeg2video -bf 2 -f mpeg",
    "mpeg4.3g2": "-c:v mpeg4",
    "mpeg4.mkv": "-c:v mpeg4 -bf 2",
    "msmpeg4.asf": "-c:v msmpeg4v2",
    "no-suffix": "-c:v libx264 -f matroska",
    "pal.dv": "-s 720x576 -pix_fmt yuv420p",
    "plain.y4m": "-pix_fmt yuv420p",
    "raw.264": "-c:v libx264 -bf 2",
    "rv20.rm": "-c:v rv20",
    "sorenson.flv": "-c:v flv",
    "theora.ogv": "-c:v libtheora",
    "vp8.ivf": "-c:v libvpx",
    "vp9.webm": "-c:v libvpx-vp9",
    "wmv2.wmv": "-c:v wmv2",
    "xvid.divx": "-c:v mpeg4 -f avi",
}

SKIPPED = {
    "list.m3u8": ("#EXTM3U\nmpeg2.m2t\n", "a playlist"),
    "joined.ffconcat": ("ffconcat version 1.0\nfile plain.y4m\n", "a playlist"),
    "notes.txt": ("words\n" * 2000, "text"),
    "module.ts": ("export const speed: number = 25;\n", "text"),
    "lines.srt": ("1\n00:00:00,000 --> 00:00:01,000\nHello\n", "text"),
    "empty.dat": ("", "empty"),
    "noise.bin": ("\0\x01\x02\x03" * 3000, "no video that FFmpeg can read"),
}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Make) -> Path:
    folder = tmp_path_factory.mktemp("library")
    outputs: list[str | Path] = []
    for name, line in LINES.items():
        outputs += ["-frames:v", str(FRAMES), *line.split(), folder / name]
    ffmpeg("-f", "lavfi", "-i", SOURCE, *outputs)
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.2", folder / "song.mp3")
    for name, (text, _) in SKIPPED.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def result(library: Path, enlarger: Make) -> InferResult:
    """The whole folder in one run; raw DV is interlaced."""
    output = library.with_name("restored")
    config = InferConfig((library,), output, deinterlace=True, preset="ultrafast")
    return infer(config, session=enlarger(scale=1))


@pytest.fixture(scope="module")
def brightness() -> Make:
    """Time and mean luma of each frame, as ffprobe decodes a file."""
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("ffprobe is not installed; apt-get install ffmpeg")

    def measure(path: Path) -> list[tuple[float, float]]:
        entries = "frame=pts_time:frame_tags=lavfi.signalstats.YAVG"
        command = [program, "-v", "error", "-f", "lavfi", "-of", "json", "-show_entries", entries]
        done = subprocess.run(
            [*command, f"movie={path},signalstats"], capture_output=True, text=True, check=True
        )
        return [
            (float(frame["pts_time"]), float(frame["tags"]["lavfi.signalstats.YAVG"]))
            for frame in json.loads(done.stdout)["frames"]
        ]

    return measure


@pytest.mark.parametrize("name", LINES)
def test_every_frame_comes_in_order_and_in_time(
    result: InferResult, brightness: Make, library: Path, name: str
) -> None:
    (file,) = [file for file in result.files if file.input == name]
    assert (file.frames, file.notes) == (FRAMES, ())
    seen = brightness(library.with_name("restored") / Path(file.output).name)
    assert len(seen) == FRAMES
    lumas = [luma for _, luma in seen]
    assert all(after - before > 8 for before, after in pairwise(lumas))
    times = [seconds - seen[0][0] for seconds, _ in seen]
    assert times == pytest.approx([number / RATE for number in range(FRAMES)], abs=2e-3)


def test_nothing_fails_and_each_skipped_file_has_its_reason(result: InferResult) -> None:
    assert result.failures == ()
    assert {file.name: file.reason for file in result.skipped} == {
        **{name: reason for name, (_, reason) in SKIPPED.items()},
        "song.mp3": "no video track (only audio)",
    }


def test_sources_that_differ_in_suffix_alone_get_results_of_their_own(result: InferResult) -> None:
    names = {Path(file.output).name for file in result.files}
    assert {"animated.apng.mkv", "animated.gif.mkv", "mpeg4.mkv", "mpeg4.3g2.mkv"} <= names
    assert len(names) == len(LINES)


@pytest.mark.parametrize(
    ("name", "frames", "rate"),
    [
        ("raw-pal.dv", 3, "25/1"),
        ("mjpeg-exif.avi", 1, "25/1"),
        ("opaque.gif", 8, None),
    ],
)
def test_collected_files_keep_frames_and_rate(
    tmp_path: Path, cases: Path, enlarger: Make, ffprobe: Make, name: str, frames: int,
    rate: str | None,
) -> None:  # fmt: skip
    output = tmp_path / "a.mp4"
    config = InferConfig((cases / "video" / name,), output, deinterlace=True, preset="ultrafast")
    infer(config, session=enlarger(scale=1))
    video = ffprobe(output, "-count_frames", "-show_streams", "-select_streams", "v:0")
    (stream,) = video["streams"]
    assert int(stream["nb_read_frames"]) == frames
    assert rate in (None, stream["avg_frame_rate"])


@pytest.mark.parametrize("name", ["made_exif.jpg", "made_exif.png"])
def test_pictures_with_exif_are_read(
    tmp_path: Path, cases: Path, enlarger: Make, name: str
) -> None:
    done = infer(InferConfig((cases / "video" / name,), tmp_path / "out"), session=enlarger())
    assert done.files[0].frames == 1


@pytest.mark.parametrize(
    "error", [MemoryError(), ValueError("31 is not a valid Type"), KeyError(1)]
)
def test_an_exception_of_a_library_is_the_failure_of_its_file_alone(
    tmp_path: Path, write_clip: Make, moving: Make, enlarger: Make, error: Exception
) -> None:
    for name, width in (("a", 48), ("b", 64), ("c", 48)):
        write_clip(tmp_path / f"{name}.mp4", moving(3, 32, width))
    session = enlarger()
    feed = type(session).__call__

    class Failing(type(session)):  # type: ignore[misc]
        def __call__(self, lr: Frames, /) -> Frames:
            if lr.shape[3] == 64:
                raise error
            return np.asarray(feed(self, lr))

    files = [tmp_path / f"{name}.mp4" for name in "abc"]
    done = infer(InferConfig(tuple(files), tmp_path / "out"), session=Failing())
    assert [Path(file.input).name for file in done.files] == ["a.mp4", "c.mp4"]
    (failure,) = done.failures
    assert failure.error.startswith(f"{files[1]} cannot be processed: ")
    assert "\n" not in failure.error
    with pytest.raises(MediaError, match="cannot be processed"):
        infer(InferConfig((files[1],), tmp_path / "b.mkv"), session=Failing())
