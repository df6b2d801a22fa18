"""A video that becomes interlaced after its beginning, and one whose colour tags change midway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.decoded import frames_of
from support.enlarger import Enlarger
from support.marked_clips import make_clip, probe
from vsrc.runtime.errors import InterlacedError, MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import FileResult

MPEG2 = "-an -c:v mpeg2video -q:v 2 -g 10 -f mpegts"
WOVEN = r"tinterlace=interlacex2,select=mod(n\,2),setpts=N/25/TB,fps=25,setfield=tff"
INTERLACED = f"-vf {WOVEN} -flags +ilme+ildct {MPEG2}"
"""The rows of a frame are those of two frames in turn."""


def make_mixed(folder: Path, *, progressive: float, interlaced: float) -> Path:
    """MPEG-2 that is progressive at first, on one clock."""
    first = make_clip(folder / "1.ts", MPEG2, seconds=progressive)
    second = make_clip(
        folder / "2.ts", f"{INTERLACED} -output_ts_offset {progressive}", seconds=interlaced
    )
    path = folder / "mixed.ts"
    path.write_bytes(first.read_bytes() + second.read_bytes())
    return path


def upscale(source: Path, output: Path, **options: Any) -> FileResult:  # noqa: ANN401
    config = InferConfig((source,), output, codec="ffv1", threads=1, **options)
    return infer(config, session=Enlarger(scale=1, window=1)).files[0]


def test_what_becomes_interlaced_is_refused_before_the_work(tmp_path: Path) -> None:
    source = make_mixed(tmp_path, progressive=1, interlaced=1)
    with pytest.raises(MediaError, match="--deinterlace"):
        upscale(source, tmp_path / "out.mkv")
    assert not list(tmp_path.glob(".*vsrc-resume"))


def test_deinterlacing_changes_interlaced_frames_alone(tmp_path: Path) -> None:
    source = make_mixed(tmp_path, progressive=1, interlaced=1)
    result = upscale(source, tmp_path / "out.mkv", deinterlace=True)
    before, after = frames_of(source), frames_of(tmp_path / "out.mkv")
    # FFmpeg drops the frame that its decoder holds back where the sequence changes.
    count = sum(len(probe(tmp_path / f"{part}.ts").times) for part in (1, 2))
    assert result.frames == len(after) == len(before) == count >= len(probe(source).times)
    same = [np.abs(a.astype(int) - b).max() <= 3 for a, b in zip(before, after, strict=True)]
    assert all(same[:24])
    assert not any(same[26:48])  # the numbers in both fields differ from those between them


def test_interlacing_that_shows_only_later_ends_the_job_which_resumes(tmp_path: Path) -> None:
    # From a pipe nothing can be sampled; here the place is between two samples.
    source = make_mixed(tmp_path, progressive=6, interlaced=0.4)
    output = tmp_path / "out.mkv"
    with pytest.raises(InterlacedError, match=r"from 6\.0 s on.*--deinterlace.*120 frames saved"):
        upscale(source, output)
    assert not output.exists()
    seen: list[str] = []
    config = InferConfig((source,), output, codec="ffv1", threads=1, deinterlace=True)
    result = infer(
        config,
        session=Enlarger(scale=1, window=1),
        progress=lambda now: seen.extend(now.notes) if now.done == 0 else None,
    )
    assert any("resumes after the 120 frames" in note for note in seen)
    assert result.files[0].frames == len(probe(output).times) >= 159


def write_two_colours(path: Path, tags: tuple[tuple[int, int], tuple[int, int]]) -> Path:
    """Lossless H.264 of one colour, whose matrix and range change after five frames."""
    red = np.zeros((32, 48, 3), np.uint8) + np.array([200, 60, 90], np.uint8)
    data = b""
    for matrix, samples_range in tags:
        part = path.with_name("part.h264")
        with av.open(str(part), "w", format="h264") as container:
            stream: Any = container.add_stream("libx264", rate=25, options={"crf": "1"})
            stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv444p"
            context = stream.codec_context
            context.colorspace, context.color_range = matrix, samples_range
            for _ in range(5):
                frame = av.VideoFrame.from_ndarray(red, "rgb24").reformat(
                    format="yuv444p", dst_colorspace=matrix, dst_color_range=samples_range
                )
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data += part.read_bytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "tags", [((1, 1), (1, 2)), ((1, 2), (1, 1)), ((1, 1), (6, 1)), ((6, 2), (1, 1))]
)
def test_matrix_and_range_that_change_midway_are_followed(
    tmp_path: Path, tags: tuple[tuple[int, int], tuple[int, int]]
) -> None:
    source = write_two_colours(tmp_path / "two.h264", tags)
    frames = frames_of(source)
    assert len(frames) == 10
    for frame in frames:
        assert np.abs(frame.astype(int) - [200, 60, 90]).max() <= 4
