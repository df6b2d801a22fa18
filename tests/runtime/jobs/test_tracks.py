"""What becomes of audio and subtitles in many containers, judged with ffprobe and ffmpeg."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.bitmap_subtitles import write_sup
from support.cases import find_case
from support.decoded import times_of
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.jobs.result import InferProgress

Make = Callable[..., Any]

PICTURE = "-f lavfi -i testsrc2=s=48x32:r=25:d=1"
BEEP = "-f lavfi -i aevalsrc=if(gte(t\\,0.4)\\,sin(2000*t)\\,0):s=44100:d=1"


@dataclass(frozen=True)
class Case:
    """A source that ffmpeg makes, and the codec of its track in a container.

    Attributes:
        made: Arguments of ffmpeg for the codecs of the source.
        source: Name of the source.
        codec: Codec of the track in the source, as ffprobe says.
        results: Suffix of a result -> codec of the track in it; empty where it is left out.
    """

    made: str
    source: str
    codec: str
    results: dict[str, str]


AUDIO = [
    Case("-c:v wmv2 -c:a wmav2", "a.wmv", "wmav2", {"mkv": "wmav2", "mov": "aac", "mp4": "aac"}),
    Case(
        "-c:v mpeg4 -c:a adpcm_ima_wav", "a.avi", "adpcm_ima_wav",
        {"mkv": "adpcm_ima_wav", "mp4": "aac", "ts": "aac"},
    ),
    Case("-c:v mpeg4 -c:a adpcm_ms", "b.avi", "adpcm_ms", {"mkv": "adpcm_ms", "webm": "opus"}),
    Case(
        "-c:v mpeg4 -c:a pcm_mulaw -ar 8000", "a.mov", "pcm_mulaw",
        {"mkv": "pcm_mulaw", "mov": "pcm_mulaw", "mp4": "aac"},
    ),
    Case(
        "-c:v libtheora -c:a libspeex -ar 16000", "a.ogv", "speex", {"mkv": "speex", "mp4": "aac"}
    ),
    Case(
        "-c:v mpeg4 -c:a flac", "flac.mkv", "flac",
        {
            "mkv": "flac", "mp4": "flac", "mov": "pcm_s24le", "webm": "opus", "ts": "aac",
            "flv": "aac",
        },
    ),
    Case("-c:v mpeg4 -c:a wavpack", "wv.mkv", "wavpack", {"mkv": "wavpack", "mp4": "flac"}),
    Case("-c:v mpeg4 -c:a truehd -strict -2", "hd.mkv", "truehd", {"mp4": "flac", "ts": "aac"}),
    Case("-c:v mpeg4 -c:a pcm_s24le", "p.mov", "pcm_s24le", {"mov": "pcm_s24le", "mp4": "flac"}),
    Case("-c:v mpeg4 -c:a pcm_s16be", "q.mov", "pcm_s16be", {"mp4": "flac", "mkv": "pcm_s16be"}),
    Case("-c:v mpeg4 -c:a aac", "a.mp4", "aac", {"wtv": "ac3", "flv": "aac"}),
    Case("-c:v mpeg4 -c:a libopus -ar 48000", "o.mkv", "opus", {"mov": "aac", "webm": "opus"}),
    Case("-c:v mpeg4 -c:a libvorbis", "v.mkv", "vorbis", {"mp4": "vorbis", "ts": "aac"}),
    Case(
        "-c:v mpeg2video -c:a ac3", "a.ts", "ac3",
        {"mp4": "ac3", "mkv": "ac3", "webm": "opus", "flv": "aac", "wtv": "ac3"},
    ),
    Case("-c:v mpeg2video -c:a mp2", "a.mpg", "mp2", {"mkv": "mp2", "ts": "mp2"}),
]  # fmt: skip

SUBTITLES = [
    Case(
        "-c:s srt",
        "s.mkv",
        "subrip",
        {"mp4": "mov_text", "webm": "webvtt", "ts": "", "mpg": "", "vob": ""},
    ),
    Case("-c:s ass", "ass.mkv", "ass", {"mkv": "ass", "mp4": "mov_text", "mov": "mov_text"}),
    Case("-c:s webvtt", "w.mkv", "webvtt", {"mkv": "webvtt", "webm": "webvtt", "mp4": "mov_text"}),
    Case("-c:s mov_text", "s.mp4", "mov_text", {"mp4": "mov_text", "mkv": "subrip"}),
]


def rows(cases: list[Case]) -> pytest.MarkDecorator:
    """One parameter for each source and container."""
    return pytest.mark.parametrize(
        ("case", "suffix"),
        [
            pytest.param(case, suffix, id=f"{case.codec}-{suffix}")
            for case in cases
            for suffix in case.results
        ],
    )


def track_of(ffprobe: Make, path: Path, kind: str) -> str:
    """Codec of the only track of a type; empty if there is none."""
    found = ffprobe(path, "-show_streams", "-select_streams", kind[0])["streams"]
    (codec,) = [stream["codec_name"] for stream in found] or [""]
    return str(codec)


def upscale(source: Path, output: Path, session: Any, **options: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Run infer; return the notes, which were all said before the work."""
    said: list[InferProgress] = []
    codec = {"webm": "vp9"}.get(output.suffix[1:], "x264")
    config = InferConfig((source,), output, **{"codec": codec, **options})
    notes = infer(config, session=session, progress=said.append).files[0].notes
    of_tracks = tuple(note for note in notes if " track " in note)
    assert of_tracks == said[0].notes
    return of_tracks


def expect_note(notes: tuple[str, ...], kind: str, before: str, after: str, suffix: str) -> None:
    """Check that there is one note on the track if it changed, and none if it did not."""
    if before == after:
        assert notes == ()
        return
    (note,) = notes
    words = {"audio": f"is encoded in {after}", "subtitle": f"is converted to {after}"}[kind]
    assert note.startswith(f"the {kind} track 1 ({before}) {words if after else 'is left out'}: ")
    assert f".{suffix} can" not in note
    assert " can" in note


@rows(AUDIO)
def test_audio_is_copied_or_encoded_as_the_container_allows(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, case: Case, suffix: str
) -> None:
    source, output = tmp_path / case.source, tmp_path / f"out.{suffix}"
    ffmpeg(*PICTURE.split(), *BEEP.split(), *case.made.split(), source)
    assert track_of(ffprobe, source, "audio") == case.codec
    notes = upscale(source, output, enlarger(scale=1))
    assert track_of(ffprobe, output, "audio") == case.results[suffix]
    expect_note(notes, "audio", case.codec, case.results[suffix], suffix)
    # A frame lasts 40 ms; ffmpeg decodes both, so the delays of the codecs are those of ffmpeg.
    assert beep_of(tmp_path, ffmpeg, output) == pytest.approx(
        beep_of(tmp_path, ffmpeg, source), abs=0.04
    )


def test_aac_that_cannot_be_read_whole_is_named(
    tmp_path: Path, ffmpeg: Make, enlarger: Make
) -> None:
    """FFmpeg writes AAC to WTV without the headers that its reader looks for."""
    whole, raw = tmp_path / "whole.ts", tmp_path / "raw.wtv"
    ffmpeg(*PICTURE.split(), *BEEP.split(), "-c:v", "mpeg2video", "-c:a", "aac", whole)
    ffmpeg("-i", whole, "-c", "copy", tmp_path / "whole.wtv")
    ffmpeg(*PICTURE.split(), *BEEP.split(), "-c:v", "mpeg2video", "-c:a", "aac", raw)
    assert upscale(tmp_path / "whole.wtv", tmp_path / "whole.mkv", enlarger(scale=1)) == ()
    (note,) = upscale(raw, tmp_path / "raw.mkv", enlarger(scale=1))
    assert note.startswith("the audio track 1 (aac) is incomplete")


def beep_of(tmp_path: Path, ffmpeg: Make, path: Path) -> float:
    """When the beep begins, seconds after the first frame."""
    raw = tmp_path / "raw.f32"
    ffmpeg("-copyts", "-i", path, "-map", "0:a", "-af", "aresample=48000:async=1:first_pts=0",
           "-ac", "1", "-f", "f32le", raw)  # fmt: skip
    loud = np.flatnonzero(np.abs(np.fromfile(raw, np.float32)) > 0.2)
    return float(loud[0]) / 48000 - float(times_of(path)[0])


@rows(SUBTITLES)
def test_subtitles_are_copied_or_converted_as_the_container_allows(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, case: Case, suffix: str
) -> None:
    text = tmp_path / "text.srt"
    text.write_text(
        "1\n00:00:00,100 --> 00:00:00,400\n<i>Häuser</i>\n\n2\n00:00:00,500 --> 00:00:00,900\nBye\n"
    )
    source, output = tmp_path / case.source, tmp_path / f"out.{suffix}"
    ffmpeg(*PICTURE.split(), "-i", text, "-c:v", "mpeg4", *case.made.split(), source)
    assert track_of(ffprobe, source, "subtitle") == case.codec
    notes = upscale(source, output, enlarger(scale=1))
    assert track_of(ffprobe, output, "subtitle") == case.results[suffix]
    expect_note(notes, "subtitle", case.codec, case.results[suffix], suffix)
    if case.results[suffix]:
        shown = tmp_path / "shown.srt"
        ffmpeg("-i", output, "-map", "0:s", shown)
        assert shown.read_text().strip() == text.read_text().strip()


@pytest.mark.parametrize(
    ("name", "words", "results"),
    [
        ("a.mkv", "-c:v mpeg4 -c:s copy", {"mkv": 4, "mp4": 0, "webm": 0}),
        ("a.vob", "-c:v mpeg2video -c:s dvdsub", {"mkv": 2, "mp4": 2, "webm": 0}),
        ("a.ts", "-c:v mpeg2video -c:s dvbsub", {"mkv": 4, "ts": 4, "mp4": 0}),
    ],
)
def test_subtitles_that_are_images_are_copied_or_left_out_with_a_word(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, name: str, words: str,
    results: dict[str, int],
) -> None:  # fmt: skip
    """Those of discs have no duration, and the last one is kept all the same."""
    images, source = write_sup(tmp_path / "a.sup", [(0.1, 0.8), (1.0, 1.7)]), tmp_path / name
    picture = ["-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=2"]  # the size of the images' screen
    beep = f"{BEEP[:-1]}2".split()
    both = tmp_path / "both.mkv"
    ffmpeg(*picture, "-i", images, "-map", "0", "-map", "1", "-c:v", "mpeg4", "-c:s", "copy", both)
    maps = ["-map", "0", "-map", "1", "-map", "2:s", "-c:a", "mp2"]
    ffmpeg(*picture, *beep, "-i", both, *maps, *words.split(), source)
    for suffix, count in results.items():
        output = tmp_path / f"out.{suffix}"
        notes = upscale(source, output, enlarger(scale=1))
        found = ffprobe(output, "-show_packets", "-select_streams", "s")["packets"]
        assert len(found) == count
        assert any("the subtitle track 2" in note for note in notes) is (not count)


@pytest.mark.parametrize(("suffix", "codec"), [("mkv", "subrip"), ("mp4", "mov_text"), ("ts", "")])
def test_subtitles_that_begin_late_are_treated_alike(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, suffix: str, codec: str
) -> None:
    """No packet of them is read before the work: MPEG-TS would store them as private data."""
    text, source, output = tmp_path / "t.srt", tmp_path / "a.mkv", tmp_path / f"b.{suffix}"
    text.write_text("1\n00:00:30,000 --> 00:00:31,000\nHello\n")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=16x16:r=25:d=32", "-i", text, "-c:v", "mpeg4",
           "-c:s", "srt", source)  # fmt: skip
    notes = upscale(source, output, enlarger(scale=1), preset="ultrafast")
    assert track_of(ffprobe, output, "subtitle") == codec
    expect_note(notes, "subtitle", "subrip", codec, suffix)
    kinds = [stream["codec_type"] for stream in ffprobe(output, "-show_streams")["streams"]]
    assert "data" not in kinds


def test_amr_of_a_phone_is_copied(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make
) -> None:
    speech, source = tmp_path / "speech.3gp", tmp_path / "a.3gp"
    write_amr(speech)
    ffmpeg(*PICTURE.split(), "-i", speech, "-c:v", "mpeg4", "-c:a", "copy", source)
    for suffix, codec in {"mkv": "amr_nb", "3gp": "amr_nb", "mp4": "aac"}.items():
        notes = upscale(source, tmp_path / f"out.{suffix}", enlarger(scale=1))
        assert track_of(ffprobe, tmp_path / f"out.{suffix}", "audio") == codec
        expect_note(notes, "audio", "amr_nb", codec, suffix)


def write_amr(path: Path) -> None:
    """A second of AMR, which Debian's ffmpeg cannot encode."""
    with av.open(str(path), "w") as container:
        try:
            stream: Any = container.add_stream("libopencore_amrnb", rate=8000, layout="mono")
        except ValueError:
            pytest.skip("the FFmpeg inside PyAV has no AMR encoder")
        stream.bit_rate = 12200
        for index in range(50):
            samples = np.full((1, 160), index, np.int16)
            frame = av.AudioFrame.from_ndarray(samples, "s16", "mono")
            frame.sample_rate, frame.pts = 8000, index * 160
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "aac"), ("mkv", "aac"), ("webm", "opus")])
def test_audio_is_encoded_where_it_is_asked_for(
    tmp_path: Path, clip: Path, ffprobe: Make, enlarger: Make, suffix: str, codec: str
) -> None:
    output = tmp_path / f"b.{suffix}"
    (note,) = upscale(clip, output, enlarger(scale=1), audio="encode")
    assert note == f"the audio track 1 (aac) is encoded in {codec}"
    found = ffprobe(output, "-show_streams", "-show_packets", "-select_streams", "a")
    assert found["streams"][0]["codec_name"] == codec
    last = found["packets"][-1]
    assert float(last["pts_time"]) + float(last["duration_time"]) == pytest.approx(0.96, abs=0.04)


SURROUND = {
    "5.1(side)": (
        "ac3",
        {"webm": ("opus", "5.1"), "mp4": ("aac", "5.1"), "avi": ("ac3", "5.1(side)")},
    ),
    "7.1": ("flac", {"webm": ("opus", "7.1"), "ts": ("aac", ""), "mp4": ("flac", "7.1")}),
}


@pytest.mark.parametrize(
    ("layout", "suffix"),
    [(layout, suffix) for layout, row in SURROUND.items() for suffix in row[1]],
)
def test_all_channels_are_encoded(
    tmp_path: Path, ffmpeg: Make, ffprobe: Make, enlarger: Make, layout: str, suffix: str
) -> None:
    source, output = tmp_path / "a.mkv", tmp_path / f"b.{suffix}"
    before, results = SURROUND[layout]
    ffmpeg(*PICTURE.split(), "-f", "lavfi", "-i", f"anoisesrc=d=1:r=48000,aformat=cl={layout}",
           "-c:v", "mpeg4", "-c:a", before, source)  # fmt: skip
    upscale(source, output, enlarger(scale=1), audio="encode")
    (found,) = ffprobe(output, "-show_streams", "-select_streams", "a")["streams"]
    codec, after = results[suffix]
    assert (found["codec_name"], found["channels"]) == (codec, 6 if "5" in layout else 8)
    assert not after or found["channel_layout"] == after


def test_audio_is_dropped_where_it_is_asked_for(
    tmp_path: Path, clip: Path, ffprobe: Make, enlarger: Make
) -> None:
    output = tmp_path / "b.mp4"
    assert upscale(clip, output, enlarger(scale=1), audio="drop") == ()
    streams = ffprobe(output, "-show_streams")["streams"]
    assert [stream["codec_type"] for stream in streams] == ["video"]


def test_another_audio_mode_is_another_job(
    tmp_path: Path, clip: Path, enlarger: Make, ffprobe: Make
) -> None:
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).symlink_to(clip)
    output = tmp_path / "out"
    skipped = []
    for audio in ("copy", "copy", "drop"):
        inputs = (tmp_path / "a.mp4", tmp_path / "b.mp4")
        config = InferConfig(inputs, output, audio=audio, overwrite=True)
        notes = infer(config, session=enlarger(scale=1)).files[0].notes
        skipped.append(any(note.startswith("skipped") for note in notes))
    assert skipped == [False, True, False]
    assert track_of(ffprobe, output / "a.mp4", "audio") == ""


def test_an_unknown_audio_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="audio="):
        InferConfig(("a.mp4",), Path("b.mp4"), audio="loud")


def test_encoded_audio_of_an_excerpt_keeps_its_distance_to_the_pictures(
    tmp_path: Path, ffmpeg: Make, enlarger: Make
) -> None:
    source, output = tmp_path / "a.mkv", tmp_path / "b.mp4"
    ffmpeg(*PICTURE.split(), *BEEP.split(), "-c:v", "mpeg4", "-c:a", "flac", source)
    infer(InferConfig((source,), output, start=0.2, audio="encode"), session=enlarger(scale=1))
    assert beep_of(tmp_path, ffmpeg, output) == pytest.approx(0.2, abs=0.04)


def test_a_gap_in_encoded_audio_stays_a_gap(tmp_path: Path, ffmpeg: Make, enlarger: Make) -> None:
    """Half a second of packets is missing before the beep, which comes no sooner for that."""
    source, output = tmp_path / "a.mkv", tmp_path / "b.mp4"
    ffmpeg(*PICTURE.split(), *BEEP.split(), "-c:v", "mpeg4", "-c:a", "mp2",
           "-bsf:a", "noise=drop=gt(pts*tb\\,0.1)*lt(pts*tb\\,0.35)", source)  # fmt: skip
    infer(InferConfig((source,), output, audio="encode"), session=enlarger(scale=1))
    assert beep_of(tmp_path, ffmpeg, output) == pytest.approx(0.4, abs=0.04)


@pytest.mark.parametrize(
    ("name", "kind", "codec"),
    [
        ("video/wmav2.wmv", "audio", "wmav2"),
        ("video/adpcm.avi", "audio", "adpcm_ima_wav"),
        ("video/webvtt.mkv", "subtitle", "webvtt"),
    ],
)
def test_tracks_of_real_files_stay_in_matroska(
    tmp_path: Path, reference: Path, enlarger: Make, ffprobe: Make, name: str, kind: str, codec: str
) -> None:
    source, output = find_case(reference, name), tmp_path / "b.mkv"
    assert upscale(source, output, enlarger(scale=1), frames=5) == ()
    assert track_of(ffprobe, tmp_path / "b.mkv", kind) == codec
