"""Audio in AVI and MXF, which store no time stamps: all of it, at its time, as ffmpeg plays it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from support.enlarger import Enlarger
from support.marked_clips import MARKS, probe, read_marks, run_program
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.pyav_versions import time_base

RATE = 48000
TONE = "aevalsrc=if(between(t\\,2.5\\,2.7)\\,0.6*sin(2764*t)\\,0.1*sin(900*t)):s=48000"


def make(path: Path, words: str, *, late: float = 0) -> Path:
    """Three seconds whose audio has a tone at 2.5 s; with `late` it begins so much later."""
    sources = ["-f", "lavfi", "-i", MARKS, "-f", "lavfi", "-i", TONE]
    cut = ["-af", f"atrim=start={late}"] if late else []
    run_program("ffmpeg", *sources, "-t", "3", "-bf", "0", *cut, *words.split(), path)
    return path


def without_audio(source: Path, target: Path, begin: float, end: float) -> Path:
    """Copy a file without the packets of the audio of a time span."""
    with av.open(str(source)) as whole, av.open(str(target), "w") as rest:
        streams = {
            one.index: rest.add_stream_from_template(one, opaque=True) for one in whole.streams
        }
        for packet in whole.demux():
            time = 0 if packet.pts is None else float(packet.pts * time_base(packet))
            is_left_out = packet.stream.type == "audio" and begin <= time < end
            if packet.size and not is_left_out:
                packet.stream = streams[packet.stream.index]
                rest.mux(packet)
    return target


def samples_of(path: Path) -> np.ndarray:
    """The audio as a player without a clock hears it: one packet after the other."""
    words = ("-i", path, "-map", "0:a", "-ac", "1", "-ar", str(RATE), "-f", "f32le", "-")
    return np.frombuffer(run_program("ffmpeg", *words), np.float32)


def tone_in(path: Path) -> float:
    """When the tone begins, seconds."""
    loud = np.convolve(np.abs(samples_of(path)), np.ones(96) / 96, "same") > 0.2
    return float(np.flatnonzero(loud)[0]) / RATE


def upscale(source: Path, output: Path) -> list[str]:
    config = InferConfig((source,), output, preset="ultrafast")
    return list(infer(config, session=Enlarger(scale=1, window=1)).files[0].notes)


COPIED = {
    "ima.avi": "adpcm_ima_wav", "ms.avi": "adpcm_ms", "ms.mkv": "adpcm_ms",
    "yamaha.avi": "adpcm_yamaha", "aac.avi": "aac", "aac.asf": "aac", "aac.mkv": "aac",
    "ac3.avi": "ac3", "ac3.ts": "ac3", "mp2.avi": "mp2", "mp3.avi": "libmp3lame",
    "mp3.asf": "libmp3lame", "wma.asf": "wmav2", "pcm.mkv": "pcm_s16le", "mulaw.avi": "pcm_mulaw",
}  # fmt: skip


@pytest.mark.parametrize("name", COPIED)
def test_audio_copied_into_avi_is_whole_and_at_its_time(tmp_path: Path, name: str) -> None:
    video = "mpeg2video" if name.endswith("ts") else "mpeg4"
    source = make(tmp_path / name, f"-c:v {video} -c:a {COPIED[name]}")
    output = tmp_path / "out.avi"
    assert upscale(source, output) == []
    before, after = probe(source), probe(output)
    assert after.tracks[1] == before.tracks[1]
    assert len(after.sound) == len(before.sound)
    assert len(samples_of(output)) == len(samples_of(source))
    steps = np.diff(after.sound)
    assert np.abs(steps - np.median(steps)).max() < 0.003
    assert after.sound[-1] - after.sound[0] == pytest.approx(
        before.sound[-1] - before.sound[0], abs=0.01
    )
    # Stored pictures begin at 0, and so does what AAC and MP3 put before the first sample.
    assert tone_in(output) == pytest.approx(2.5, abs=0.05)


@pytest.mark.parametrize("name", ["dts.mkv", "vorbis.mkv", "opus.mkv", "aac.ts"])
def test_audio_that_avi_would_play_at_other_times_is_encoded(tmp_path: Path, name: str) -> None:
    words = {"dts.mkv": "dca -strict -2", "vorbis.mkv": "libvorbis", "opus.mkv": "libopus"}
    video = "mpeg2video" if name.endswith("ts") else "mpeg4"
    source = make(tmp_path / name, f"-c:v {video} -c:a {words.get(name, 'aac')}")
    (note,) = upscale(source, tmp_path / "out.avi")
    assert "is encoded in mp3: avi cannot carry it" in note
    first = probe(source).times[0] - probe(source).sound[0]
    assert tone_in(tmp_path / "out.avi") == pytest.approx(2.5 + min(first, 0), abs=0.02)


@pytest.mark.parametrize("suffix", ["avi", "mxf"])
@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "pcm_s16le"])
@pytest.mark.parametrize("is_late", [True, False])
def test_what_is_missing_becomes_silence(
    tmp_path: Path, codec: str, suffix: str, *, is_late: bool
) -> None:
    output = tmp_path / f"out.{suffix}"
    words = f"-c:v mpeg4 -c:a {codec}"
    source = make(tmp_path / "whole.mkv", words, late=1 if is_late else 0)
    if not is_late:
        source = without_audio(source, tmp_path / "a.mkv", 0.5, 1.5)
    notes = upscale(source, output)
    assert any("is encoded in" in note for note in notes)
    begin = probe(source).times[0]
    assert tone_in(output) == pytest.approx(2.5 - begin if begin > 0.1 else 2.5, abs=0.03)
    assert read_marks(output) == list(range(75))


@pytest.mark.parametrize("name", ["mp3.mkv", "mp2.ts", "long.mkv"])
def test_video_that_begins_late_does_so_in_avi(tmp_path: Path, name: str) -> None:
    """The header of its stream says when it begins: an empty chunk cannot come first."""
    late = 2.52 if name == "long.mkv" else 0.2
    audio = "mp2" if name == "mp2.ts" else "libmp3lame"
    source, output = tmp_path / name, tmp_path / "out.avi"
    run_program(
        "ffmpeg", "-itsoffset", str(late), "-f", "lavfi", "-i", MARKS, "-f", "lavfi", "-i", TONE,
        "-t", "3", "-c:v", "mpeg4", "-bf", "0", "-q:v", "2", "-c:a", audio, source,
    )  # fmt: skip
    assert upscale(source, output) == []
    before, after = probe(source), probe(output)
    assert abs(after.offset - before.offset) < 0.04
    assert after.times[0] - after.sound[0] > late - 0.04
    np.testing.assert_allclose(np.diff(after.times), 0.04, atol=0.001)
    assert read_marks(output) == list(range(len(before.times)))


MXF = {
    "pcm_s16le -ar 48000": "pcm_s16le", "pcm_s24le -ar 48000 -ac 6": "pcm_s24le",
    "pcm_s16be -ar 44100": "pcm_s16le", "pcm_mulaw -ar 8000": "pcm_s16le", "aac": "pcm_s16le",
    "flac -ar 44100": "pcm_s24le", "pcm_f32le": "pcm_s24le",
}  # fmt: skip


@pytest.mark.parametrize("codec", MXF)
def test_mxf_carries_the_audio_as_pcm(tmp_path: Path, codec: str) -> None:
    source, output = make(tmp_path / "a.mkv", f"-c:v mpeg4 -c:a {codec}"), tmp_path / "out.mxf"
    notes = upscale(source, output)
    before, after = probe(source), probe(output)
    assert after.tracks == ["h264", MXF[codec]]
    is_copied = MXF[codec] == before.tracks[1] and "48000" in codec
    assert [f"({before.tracks[1]}) is encoded in" in note for note in notes] == [True][is_copied:]
    assert tone_in(output) == pytest.approx(2.5, abs=0.02)
    assert read_marks(output) == list(range(75))
    np.testing.assert_allclose(np.diff(after.times), 0.04, atol=0.001)
    assert len(samples_of(output)) == pytest.approx(3 * RATE, abs=2000)


@pytest.mark.parametrize("codec", ["pcm_s16le -ar 48000", "aac"])
@pytest.mark.parametrize(("of", "late"), [("video", 0.2), ("audio", 0.2), ("video", 0)])
def test_tracks_of_mxf_begin_with_the_first_picture(
    tmp_path: Path, codec: str, of: str, late: float
) -> None:
    """Audio before it is cut off, and late audio begins with silence."""
    source, output = tmp_path / "a.mkv", tmp_path / "out.mxf"
    delays = [["-itsoffset", str(late)] if of == each else [] for each in ("video", "audio")]
    run_program(
        "ffmpeg", *delays[0], "-f", "lavfi", "-i", MARKS, *delays[1], "-f", "lavfi", "-i", TONE,
        "-t", "3", *["-c:v", "mpeg4", "-bf", "0", "-q:v", "2", "-c:a"], *codec.split(), source,
    )  # fmt: skip
    upscale(source, output)
    tone = 2.5 + late * {"video": -1, "audio": 1}[of]
    assert tone_in(output) == pytest.approx(tone, abs=0.02)
    assert read_marks(output) == list(range(len(probe(source).times)))


def test_mxf_says_that_it_holds_no_gap(tmp_path: Path) -> None:
    words = "-vf setpts=N/25/TB+gte(N\\,30)*2/TB -c:v mjpeg -pix_fmt yuvj420p -an"
    source = make(tmp_path / "a.mkv", f"{words} -t 9")
    (note,) = upscale(source, tmp_path / "out.mxf")
    assert note.startswith("MXF has a constant frame rate")
