"""Files that are not upscaled, and what is said of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from support.decoded import read
from vsrc.runtime.decode.probe import check_supported
from vsrc.runtime.decode.video_reader import VideoReader
from vsrc.runtime.errors import MediaError

Frames = NDArray[np.uint8]
Make = Callable[..., Any]


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
    ("name", "data", "what"),
    [
        ("a.mp4", b"", "is empty"),
        ("a.mp4", bytes(5000), "is not a video"),
        ("a.txt", b"The quick brown fox.\n" * 300, "is a text file, not a video"),
        ("a.mp4", b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", "has no index"),
    ],
)
def test_what_is_no_video_is_refused_by_name(
    tmp_path: Path, name: str, data: bytes, what: str
) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(MediaError, match=f"{name} {what}"):
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
