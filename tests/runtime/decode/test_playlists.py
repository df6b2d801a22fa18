"""Nothing but the file itself is opened, unless more is allowed."""

from __future__ import annotations

import http.server
import io
import os
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest
from click.testing import CliRunner

from vsrc.cli import main
from vsrc.runtime.decode.detection import reason_to_skip
from vsrc.runtime.decode.media_file import open_container
from vsrc.runtime.decode.playlists import files_of
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.media_access import allow_media, media_access
from vsrc.runtime.pyav_versions import open_input

Make = Callable[..., Any]

SDP = b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video %d RTP/AVP 96\n"
M3U8 = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '{}'\n"


@pytest.fixture
def folder(tmp_path: Path, clip: Path, ffmpeg: Make) -> Path:
    """A folder with a stream, and another one beside it."""
    inner = tmp_path / "inner"
    inner.mkdir()
    for place in (inner / "a.ts", tmp_path / "secret.ts"):
        ffmpeg("-i", clip, "-c", "copy", place)
    return inner


@pytest.mark.parametrize("text", [M3U8, CONCAT])
@pytest.mark.parametrize("name", ["list.m3u8", "film.mp4", "film.ffconcat"])
def test_a_playlist_is_refused_whatever_its_suffix(folder: Path, text: str, name: str) -> None:
    (folder / name).write_text(text.format("a.ts"))
    with pytest.raises(MediaError, match=rf"{name} is a playlist.*--allow-playlist"):
        open_container(folder / name)


@pytest.mark.parametrize(
    ("head", "beside"),
    [
        (b"# VobSub index file, v7 (do not modify this line!)\n", "film.sub"),
        (b"MLVI\x34\0\0\0v2.0\0".ljust(4096, b"\0"), "film.m00"),
    ],
    ids=["vobsub", "mlv"],
)
@pytest.mark.parametrize("allowed", [False, True])
def test_files_beside_a_video_are_not_opened(
    tmp_path: Path, head: bytes, beside: str, allowed: bool
) -> None:
    (tmp_path / "film.mp4").write_bytes(head)
    os.mkfifo(tmp_path / beside)  # opened, it would wait for its writer
    with allow_media(playlists=allowed), pytest.raises((MediaError, av.FFmpegError)):
        open_container(tmp_path / "film.mp4")
    assert reason_to_skip(tmp_path / "film.mp4") is None  # named as a video: it is an error
    shutil.move(tmp_path / "film.mp4", tmp_path / "film.bin")
    assert reason_to_skip(tmp_path / "film.bin") is not None


@pytest.mark.parametrize("text", [M3U8, CONCAT])
def test_an_allowed_playlist_reads_files_of_its_folder(folder: Path, text: str) -> None:
    path = folder / "list.m3u8"
    path.write_text(text.format("a.ts"))
    with allow_media(playlists=True), open_container(path) as container:
        assert len(list(container.decode(video=0))) == 24
        assert files_of(path) == [path, folder / "a.ts"]
    assert not media_access().playlists


@pytest.mark.parametrize("text", [M3U8, CONCAT, '#EXTM3U\n#EXT-X-MAP:URI="{}"\n'])
@pytest.mark.parametrize("name", ["../secret.ts", "/etc/passwd", "link.ts", "http://host/a.ts"])
def test_an_allowed_playlist_reads_nothing_else(folder: Path, text: str, name: str) -> None:
    (folder / "link.ts").symlink_to("../secret.ts")
    path = folder / "list.m3u8"
    path.write_text(text.format(name))
    with allow_media(playlists=True), pytest.raises(MediaError, match="not in the folder"):
        open_container(path)


UNLIKE = {
    "protocol": "#EXTM3U\nfile:../secret.ts\n",
    "nul": "#EXTM3U\n#x\0../secret.ts\n",
    "nul in a script": "ffconcat version 1.0\n#x\0file deep/link.ts\n",
    "blank before": "#EXTM3U\n\u00a0a.ts\n",
    "attribute without quotes": "#EXTM3U\n#EXT-X-MAP:URI=../secret.ts\n",
    "escape in an attribute": '#EXTM3U\n#EXT-X-MAP:URI="\\.\\./secret.ts"\n',
    "escape in a script": "ffconcat version 1.0\nfile \\.\\./secret.ts\n",
    "other quotes": 'ffconcat version 1.0\nfile "a.ts"\n',
    "path through a link": "#EXTM3U\nthere/../b.ts\n",
}
"""Playlists that FFmpeg reads otherwise than most programs would; all lead out of the folder."""


@pytest.mark.parametrize("kind", UNLIKE)
def test_names_are_read_as_ffmpeg_reads_them(folder: Path, kind: str) -> None:
    (folder / "file:..").mkdir()
    (folder / "deep/deeper").mkdir(parents=True)
    (folder / "\\.\\.").mkdir()
    for inside in ("file:../secret.ts", "\\.\\./secret.ts", "deep/b.ts"):
        shutil.copy(folder / "a.ts", folder / inside)
    (folder / "there").symlink_to("deep/deeper")  # there/../b.ts is deep/b.ts, or b.ts
    for outside in ("b.ts", "deep/link.ts", '"a.ts"', "\u00a0a.ts"):
        (folder / outside).symlink_to(folder.parent / "secret.ts")
    path = folder / "list.m3u8"
    path.write_text(UNLIKE[kind])
    with (
        allow_media(playlists=True),
        pytest.raises(MediaError, match=r"not in the folder|not understood"),
    ):
        open_container(path)


def test_playlists_in_a_playlist_are_checked_too(folder: Path) -> None:
    (folder / "inner.m3u8").write_text(M3U8.format("../secret.ts"))
    (folder / "outer.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ninner.m3u8\n")
    (folder / "circle.m3u8").write_text("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\ncircle.m3u8\n")
    with allow_media(playlists=True):
        with pytest.raises(MediaError, match="not in the folder"):
            open_container(folder / "outer.m3u8")
        with pytest.raises(MediaError, match="within"):
            open_container(folder / "circle.m3u8")


def test_a_changed_part_of_a_playlist_is_another_source(
    folder: Path, enlarger: Make, tmp_path: Path
) -> None:
    from vsrc.runtime.decode.sources import find_sources
    from vsrc.runtime.encode.targets import plan_targets
    from vsrc.runtime.jobs.job import open_job
    from vsrc.runtime.jobs.run_sessions import RunSessions

    (folder / "list.ffconcat").write_text(CONCAT.format("a.ts"))
    config = InferConfig((folder / "list.ffconcat",), tmp_path / "a.mkv")

    def fingerprint() -> str:
        (target,) = plan_targets(find_sources(config.inputs), config.output)
        with open_job(target, config, RunSessions(config, enlarger())) as job:
            return job.fingerprint

    with allow_media(playlists=True):
        first = fingerprint()
        assert fingerprint() == first
        data = (folder / "a.ts").read_bytes()
        (folder / "a.ts").write_bytes(data + data[:188])
        assert fingerprint() != first


def test_bytes_from_stdin_open_no_socket() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1] // 2 * 2
    for data in (SDP % port, M3U8.format("/etc/passwd").encode(), CONCAT.format("x").encode()):
        with pytest.raises((av.FFmpegError, ValueError)):
            open_input(io.BytesIO(data))
    done = CliRunner().invoke(main, ["infer", "-", "-o", "a.mkv"], input=SDP % port)
    assert done.exit_code == 1
    assert "stdin is not a video" in done.stderr


@pytest.fixture
def server(folder: Path) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def test_a_url_is_opened_only_if_it_is_allowed(server: str, tmp_path: Path, enlarger: Make) -> None:
    config = InferConfig((f"{server}/a.ts",), tmp_path / "out.mkv")
    with pytest.raises(MediaError, match=r"ffmpeg -i http://.* vsrc infer - .*--allow-network"):
        infer(config, session=enlarger())
    with allow_media(network=True):
        assert infer(config, session=enlarger()).files[0].frames == 24


@pytest.mark.parametrize(
    "line",
    [
        "infer list.mp4 -o a.mkv",
        "compare list.mp4 list2.mp4 -o a.html",
        "eval --data list.mp4",
        "inspect list.mp4",
        "calibrate s.vsrc list.mp4",
        "data check .",
    ],
)
def test_every_command_refuses_and_takes_the_option(
    folder: Path, tiny_package: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    monkeypatch.chdir(folder)
    shutil.copytree(tiny_package, "s.vsrc")
    for name in ("list.mp4", "list2.mp4"):
        (folder / name).write_text(CONCAT.format("../secret.ts"))
    (folder / "a.ts").unlink()
    done = CliRunner().invoke(main, line.split())
    assert done.exit_code == 1, done.output
    assert "--allow-playlist" in done.output
    allowed = CliRunner().invoke(main, [*line.split(), "--allow-playlist", "--allow-network"])
    assert allowed.exit_code == 1, allowed.output
    assert "not in the folder" in allowed.output
