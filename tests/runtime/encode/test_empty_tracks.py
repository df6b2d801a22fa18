"""Audio tracks without packets: in the result, or named among what is left out."""

from __future__ import annotations

from pathlib import Path

import av
import pytest

from support.enlarger import Enlarger
from support.marked_clips import FLAT, MARKS, make_clip, probe, read_marks, run_program
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

TWO = "-filter_complex asplit[a][b] -map 0:v -map [a] -map [b]"


def upscale(source: Path, output: Path, frames: int | None = None) -> list[str]:
    config = InferConfig((source,), output, preset="ultrafast", crf=10, frames=frames)
    notes = infer(config, session=Enlarger(scale=1, window=1)).files[0].notes
    return [note for note in notes if "is encoded in" not in note]


def without_packets(source: Path, target: Path, index: int) -> Path:
    """Copy a file, but no packet of one track."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as rest:
        copies = {
            one.index: rest.add_stream_from_template(one, opaque=True) for one in whole.streams
        }
        for packet in whole.demux():
            if packet.size and packet.stream.index != index:
                packet.stream = copies[packet.stream.index]
                rest.mux(packet)
    return target


@pytest.mark.parametrize("empty", [1, 2])
@pytest.mark.parametrize(
    "suffix", ["mkv", "mp4", "mov", "3gp", "ts", "flv", "avi", "wmv", "nut", "mpg", "vob", "mxf"]
)
def test_an_empty_track_is_kept_or_named(tmp_path: Path, suffix: str, empty: int) -> None:
    whole = make_clip(tmp_path / "whole.mkv", f"{FLAT} -c:a aac {TWO if empty == 2 else ''}")
    source = without_packets(whole, tmp_path / "a.mkv", empty)
    assert len(probe(source).tracks) == 1 + empty
    notes, output = upscale(source, tmp_path / f"out.{suffix}"), tmp_path / f"out.{suffix}"
    assert read_marks(output) == list(range(25))
    tracks = len(probe(output).tracks)
    assert tracks == 1 + empty - len(notes)
    if notes:
        (note,) = notes
        assert note.startswith(f"the audio track {empty} (aac) is left out: it is empty")


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """A video of five seconds whose audio begins in the third."""
    path = tmp_path / "late.mkv"
    run_program(
        "ffmpeg", "-f", "lavfi", "-i", MARKS, "-itsoffset", "3", "-f", "lavfi", "-i",
        "sine=d=1", "-t", "5", *FLAT.split(), "-c:a", "aac", path,
    )  # fmt: skip
    return path


def test_a_part_without_audio_is_said(tmp_path: Path, late: Path) -> None:
    (note,) = upscale(late, tmp_path / "out.mp4", frames=10)
    assert note.startswith("the audio track 1 is left out: it is empty")
    assert probe(tmp_path / "out.mp4").tracks == ["h264"]


def test_a_part_without_audio_that_mxf_refuses_is_explained(tmp_path: Path, late: Path) -> None:
    with pytest.raises(MediaError, match="audio tracks would be empty"):
        upscale(late, tmp_path / "out.mxf", frames=10)
    assert not (tmp_path / "out.mxf").exists()
