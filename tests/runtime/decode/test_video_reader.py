"""What comes out of good, odd and broken files."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from vsrc.runtime.decode.frame import SourceFrame
from vsrc.runtime.decode.probe import check_supported
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


def read(path: Path, *, deinterlace: bool = False) -> tuple[VideoReader, list[SourceFrame]]:
    reader = VideoReader(path, deinterlace=deinterlace)
    frames = list(reader)
    reader.close()
    return reader, frames


def test_lossless_rgb_comes_back_bit_for_bit(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    path = write_clip(tmp_path / "a.mkv", moving(7), codec="ffv1", pix_fmt="bgr0")
    _, frames = read(path)
    np.testing.assert_array_equal(np.stack([frame.rgb for frame in frames]), moving(7))


def test_pts_are_those_of_the_packets_when_the_rate_varies(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    pts = [0, 1, 5, 6, 20, 21, 22, 60]
    path = write_clip(
        tmp_path / "a.mp4", moving(8), pts=pts, time_base=Fraction(1, 30), options={"bf": "2"}
    )
    reader, frames = read(path)
    assert [frame.pts * reader.info.time_base for frame in frames] == [Fraction(p, 30) for p in pts]
    durations = [frame.duration * reader.info.time_base * 30 for frame in frames]
    assert durations[:-1] == [1, 4, 1, 14, 1, 1, 38]


def test_other_tracks_ride_on_the_frames_complete(clip: Path) -> None:
    reader, frames = read(clip)
    with av.open(str(clip)) as container:
        expected = [bytes(packet) for packet in container.demux(audio=0) if packet.size]
    assert [bytes(packet) for frame in frames for packet in frame.packets] == expected
    assert [str(track) for track in reader.info.tracks] == ["audio aac"]
    assert len(frames) == 24
    assert reader.notes() == []


def test_info_says_what_the_file_is(tmp_path: Path, write_clip: Make, moving: Make) -> None:
    path = write_clip(
        tmp_path / "a.mp4",
        moving(5),
        aspect=Fraction(16, 11),
        colour=(1, 1, 1, 1),
        rotation=90,
        sound=True,
    )
    info = read(path)[0].info
    assert str(info) == (
        "h264 48x32 (WxH), 25 fps, 5 frames, yuv420p bt709 tv, pixel aspect 16/11, rotated by 90 "
        "degrees, audio aac"
    )


def test_packets_of_theora_without_bytes_are_no_damage(tmp_path: Path, ffmpeg: Make) -> None:
    path = tmp_path / "a.ogv"
    still = "color=s=64x48:r=25:d=1,geq=lum='if(lt(N\\,10)\\,X*4\\,200)':cb=128:cr=128"
    ffmpeg("-f", "lavfi", "-i", still, "-c:v", "libtheora", "-g", "6", path)
    with av.open(str(path)) as container:
        sizes = [(each.pts, each.size) for each in container.demux(video=0) if each.pts is not None]
    assert 0 in dict(sizes).values()  # the last picture stays
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == [pts for pts, size in sizes if size]
    assert reader.notes() == []


# --- damage ---------------------------------------------------------------------------------------


def packets_of(path: Path) -> list[tuple[int, int]]:
    """Place and size of each video packet in the file."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        return [(packet.pos or 0, packet.size) for packet in packets]


def overwrite(path: Path, place: int, data: bytes) -> None:
    with path.open("rb+") as file:
        file.seek(place)
        file.write(data)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("broken", [(5,), (5, 6, 7), (0,), (-1,), (0, 11, -1)])
def test_damaged_packets_are_counted_and_no_frame_is_missing(
    tmp_path: Path, write_clip: Make, moving: Make, suffix: str, broken: tuple[int, ...]
) -> None:
    options = {"g": "6", "bf": "2"}
    path = write_clip(tmp_path / f"a.{suffix}", moving(24), options=options)
    good = [frame.pts for frame in read(path)[1]]
    places = packets_of(path)
    for index in broken:
        place, size = places[index]
        header = 0 if suffix == "mp4" else 8  # behind the block header of Matroska
        overwrite(path, place + header, b"\xff" * (size - header))
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == good
    assert "damaged packets" in " ".join(reader.notes())


CODECS = {
    "libx264": ("mp4", {"g": "12", "bf": "2"}),
    "libx265": ("mp4", {"x265-params": "keyint=12:log-level=none"}),
    "libvpx-vp9": ("mkv", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "libvpx": ("mkv", {"g": "12", "deadline": "realtime", "cpu-used": "8"}),
    "mpeg4": ("mp4", {"g": "12", "bf": "2"}),
    "mpeg2video": ("mkv", {"g": "12", "bf": "2"}),
    "ffv1": ("mkv", {}),
    "libsvtav1": ("mp4", {"preset": "12", "svtav1-params": "keyint=12"}),
    "prores_ks": ("mov", {}),
    "mjpeg": ("avi", {}),
}
PIX_FMTS = {"prores_ks": "yuv422p10le", "mjpeg": "yuvj420p"}


@pytest.mark.parametrize("codec", CODECS)
def test_damage_inside_packets_never_changes_the_number_of_frames(
    tmp_path: Path, write_clip: Make, moving: Make, codec: str
) -> None:
    suffix, options = CODECS[codec]
    pix_fmt = PIX_FMTS.get(codec, "yuv420p")
    path = write_clip(
        tmp_path / f"a.{suffix}",
        moving(24, 64, 96),
        codec=codec,
        options={**options},
        pix_fmt=pix_fmt,
    )
    good, places = path.read_bytes(), packets_of(path)
    rng = np.random.default_rng(0)
    for _ in range(12):
        data = bytearray(good)
        for index in rng.choice(len(places), rng.integers(1, 4), replace=False):
            place, size = places[index]
            begin = 12  # behind the block header of Matroska
            kept = min(size, begin + int(rng.integers(0, max(1, size - begin))))
            data[place + kept : place + size] = rng.bytes(size - kept)
        path.write_bytes(data)
        assert len(read(path)[1]) == 24


def test_two_pictures_that_a_damaged_header_made_one_are_two(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    path = write_clip(
        tmp_path / "a.ts", moving(24), codec="mpeg2video", options={"g": "12", "bf": "2"}
    )
    good = [frame.pts for frame in read(path)[1]]
    data = bytearray(path.read_bytes())
    headers = [at for at in range(len(data) - 8) if data[at : at + 4] == b"\0\0\1\xb5"]
    pictures = [at for at in headers if data[at + 4] >> 4 == 8]  # H.262, table 6-2
    assert len(pictures) == 24
    # A frame becomes a top field, and the parser waits for the other one (section 6.3.10).
    structure = pictures[13] + 6
    data[structure] = data[structure] & ~3 | 1
    path.write_bytes(data)
    reader, frames = read(path)
    assert [frame.pts for frame in frames] == good
    assert "1 damaged packets" in " ".join(reader.notes())


@pytest.mark.parametrize("seed", range(6))
def test_random_damage_never_stops_the_reader(
    tmp_path: Path, write_clip: Make, moving: Make, seed: int
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(24), sound=True, options={"g": "6"})
    rng = np.random.default_rng(seed)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4  # the index behind it says where the packets are
    stop = data.index(b"moov") - 4
    for place in rng.integers(start, stop, 60):
        data[place] ^= 1 << rng.integers(8)
    path.write_bytes(data)
    _, frames = read(path)
    assert len(frames) == 24
    assert all(a.pts < b.pts for a, b in pairwise(frames))


@pytest.mark.parametrize(("suffix", "options"), [("mp4", {"movflags": "faststart"}), ("mkv", {})])
def test_a_file_cut_in_the_middle_gives_what_is_there_and_says_so(
    tmp_path: Path, write_clip: Make, moving: Make, suffix: str, options: dict[str, str]
) -> None:
    whole = write_clip(tmp_path / f"whole.{suffix}", moving(100), sound=suffix == "mkv")
    with (
        av.open(str(whole)) as source,
        av.open(str(tmp_path / f"front.{suffix}"), "w", container_options=options) as front,
    ):
        streams = {s.index: front.add_stream_from_template(s, opaque=True) for s in source.streams}
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                front.mux(packet)
    data = (tmp_path / f"front.{suffix}").read_bytes()
    path = tmp_path / f"cut.{suffix}"
    path.write_bytes(data[: len(data) * 6 // 10])
    reader, frames = read(path)
    assert 20 < len(frames) < 95
    expected = [frame.pts for frame in read(whole)[1]]
    # B-frames lie behind the frame that follows them: of the last few some are missing.
    assert [frame.pts for frame in frames][:-4] == expected[: len(frames) - 4]
    assert {frame.pts for frame in frames} <= set(expected)
    assert "truncated" in " ".join(reader.notes())


# --- refusals -------------------------------------------------------------------------------------


def audio_with_cover(path: Path, moving: Make) -> Path:
    with av.open(str(path), "w") as container:
        audio: Any = container.add_stream("aac", rate=48000)
        cover: Any = container.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 48, 32, "yuvj420p"
        cover.disposition = 1 << 10
        container.mux(cover.encode(av.VideoFrame.from_ndarray(moving(1)[0], "rgb24")))
        container.mux(cover.encode(None))
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(audio.encode(frame))
        container.mux(audio.encode(None))
    return path


def test_audio_with_a_cover_picture_is_no_video(tmp_path: Path, moving: Make) -> None:
    with pytest.raises(MediaError, match=r"a\.mp4 .*audio, video\)"):
        VideoReader(audio_with_cover(tmp_path / "a.mp4", moving))


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("a.mp4", b""),
        ("a.mp4", bytes(5000)),
        ("a.txt", b"The quick brown fox.\n" * 300),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2"),
    ],
)
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MediaError, match=f"{name} .*not a video"):
        VideoReader(tmp_path / name)


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MediaError, match=r"none\.mp4"):
        VideoReader(tmp_path / "none.mp4")
    with pytest.raises(MediaError, match="is not a video file"):
        VideoReader(tmp_path)


def test_a_colon_or_percent_in_a_name_is_nothing_special(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "http:%03d 100%.mp4"
    path.write_bytes(clip.read_bytes())
    assert len(read(path)[1]) == 24


def test_a_playlist_cannot_reach_the_network(tmp_path: Path) -> None:
    path = tmp_path / "a.m3u8"
    path.write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")
    with pytest.raises(MediaError):
        VideoReader(path)


def test_a_codec_without_decoder_is_refused(tmp_path: Path, clip: Path) -> None:
    data = clip.read_bytes()
    path = tmp_path / "a.mp4"
    path.write_bytes(data.replace(b"avc1", b"zzzz"))
    with pytest.raises(MediaError, match=r"a\.mp4: .*FFmpeg .*decoder"):
        VideoReader(path)


def test_a_video_track_without_frames_is_refused(tmp_path: Path, clip: Path) -> None:
    path = tmp_path / "empty.mkv"
    with av.open(str(clip)) as source, av.open(str(path), "w") as target:
        video = target.add_stream_from_template(source.streams.video[0], opaque=True)
        audio = target.add_stream_from_template(source.streams.audio[0])
        assert video is not None
        for packet in source.demux(audio=0):
            if packet.size:
                packet.stream = audio
                target.mux(packet)
    with pytest.raises(MediaError, match=r"empty\.mkv .*frame"):
        VideoReader(path)


@pytest.mark.parametrize(("transfer", "name"), [(16, "smpte2084"), (18, "arib-std-b67")])
def test_hdr_is_refused_unless_allowed(
    tmp_path: Path, write_clip: Make, moving: Make, transfer: int, name: str
) -> None:
    path = write_clip(tmp_path / "a.mp4", moving(2), colour=(9, transfer, 9, 1))
    info = read(path)[0].info
    with pytest.raises(MediaError, match=rf"HDR \(bt2020nc/bt2020/{name} tv\).*--allow-hdr"):
        check_supported(info, allow_hdr=False, deinterlace=False)
    check_supported(info, allow_hdr=True, deinterlace=False)


def test_transparency_is_refused(tmp_path: Path, ffmpeg: Make) -> None:
    path = tmp_path / "a.mkv"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.1,format=rgba,colorchannelmixer=aa=0.3",
           "-c:v", "ffv1", "-pix_fmt", "yuva420p", path)  # fmt: skip
    with pytest.raises(MediaError, match="transparency"):
        check_supported(read(path)[0].info, allow_hdr=False, deinterlace=False)


def test_interlaced_video_is_refused_or_woven(tmp_path: Path, ffmpeg: Make, clip: Path) -> None:
    path = tmp_path / "a.mp4"
    interlaced = ("-flags", "+ildct+ilme", "-x264opts", "tff=1", "-vf", "setfield=tff")
    ffmpeg("-i", clip, "-c:v", "libx264", *interlaced, "-c:a", "copy", path)
    reader, frames = read(path)
    with pytest.raises(MediaError, match=r"interlaced.*--deinterlace"):
        check_supported(reader.info, allow_hdr=False, deinterlace=False)
    woven, result = read(path, deinterlace=True)
    check_supported(woven.info, allow_hdr=False, deinterlace=True)
    assert [frame.pts for frame in result] == [frame.pts for frame in frames]
    assert any((a.rgb != b.rgb).any() for a, b in zip(result, frames, strict=True))


# --- streams that tell little ---------------------------------------------------------------------


def test_a_raw_stream_is_stamped_by_its_rate(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    path = write_clip(tmp_path / "a.h264", moving(12), options={"bf": "2"})
    reader, frames = read(path)
    assert len(frames) == 12
    steps = {b.pts - a.pts for a, b in pairwise(frames)}
    assert steps == {round(1 / (25 * reader.info.time_base))}


def test_a_change_of_size_is_scaled_to_the_first_one(
    tmp_path: Path, write_clip: Make, moving: Make
) -> None:
    parts = [
        write_clip(tmp_path / f"{size}.h264", moving(4, *size), options={"bf": "0"})
        for size in ((32, 48), (64, 96))
    ]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    _, frames = read(path)
    assert [frame.rgb.shape for frame in frames] == [(32, 48, 3)] * 8


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 1), (33, 17)])
def test_odd_sizes_are_read_as_they_are(
    tmp_path: Path, write_clip: Make, moving: Make, size: tuple[int, int]
) -> None:
    path = write_clip(tmp_path / "a.mov", moving(3, *size), codec="png", pix_fmt="rgb24")
    _, frames = read(path)
    np.testing.assert_array_equal(np.stack([frame.rgb for frame in frames]), moving(3, *size))


# --- seeking --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts", "h264"])
@pytest.mark.parametrize("place", [0, 30, 160, 199])
def test_seeking_lands_before_the_place_with_the_right_frames(
    tmp_path: Path, write_clip: Make, moving: Make, suffix: str, place: int
) -> None:
    path = write_clip(tmp_path / f"a.{suffix}", moving(200, 16, 16), options={"g": "10"})
    whole = read(path)[1]
    reader = VideoReader(path)
    reader.seek(whole[place].pts)
    rest = list(reader)
    reader.close()
    by_pts = {frame.pts: frame for frame in whole}
    needed = [frame.pts for frame in whole[max(0, place - 20) :]]
    assert [frame.pts for frame in rest][-len(needed) :] == needed
    for frame in rest:
        np.testing.assert_array_equal(frame.rgb, by_pts[frame.pts].rgb)
    if suffix != "h264" and place > 100:
        assert len(rest) < 190  # it did not decode everything


def test_an_mp4_on_stdin_whose_index_is_last_is_told_what_can_be_piped(
    tmp_path: Path, ffmpeg: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sound is more than what is kept of a pipe, so the pictures cannot be gone back to."""
    source = tmp_path / "a.mov"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:d=1", "-f", "lavfi", "-i", "anoisesrc=d=30",
           "-c:a", "pcm_s16le", source)  # fmt: skip
    with subprocess.Popen(["cat", str(source)], stdout=subprocess.PIPE) as pipe:
        assert pipe.stdout is not None
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(pipe.stdout))
        with pytest.raises(MediaError, match=r"y4m, Matroska and MPEG-TS can be piped, and MP4"):
            VideoReader(Path("-"))
