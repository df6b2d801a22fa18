"""Clips whose frames carry their number, so that their order can be read after any coding."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

WIDTH, HEIGHT, BITS = 64, 48, 8

H264 = "-c:v libx264 -preset ultrafast -bf 2 -b_strategy 0 -sc_threshold 0 -g 10"
FLAT = "-c:v libx264 -preset ultrafast -bf 0 -sc_threshold 0 -g 10"
HEVC = "-c:v libx265 -preset ultrafast -x265-params log-level=none:keyint=10:min-keyint=10"
MPEG2 = "-c:v mpeg2video -bf 2 -g 10 -sc_threshold 1000000000"
"""Words for ffmpeg: video with a key frame each 10 frames, with B-frames but for the second."""

NOISE = "-vf noise=alls=24:allf=t"
"""Makes pictures so large that each has a packet, and a time, of its own in a program stream."""

MARKS = (
    f"nullsrc=s={WIDTH}x{HEIGHT}:r=25,format=yuv420p,"
    rf"geq=lum=16+219*mod(floor(N/pow(2\,floor(X*{BITS}/W)))\,2):cb=128:cr=128"
)
"""Source filter: the number of a frame in binary, a column for each bit, the lowest to the left."""


@dataclass(frozen=True)
class Probed:
    """What ffprobe reads from a file.

    Attributes:
        times: Best-effort time of each frame of the video, seconds; nan where there is none.
        sound: Time of each packet of the audio, seconds.
        tracks: Codec of each stream.
    """

    times: list[float] = field(default_factory=list)
    sound: list[float] = field(default_factory=list)
    tracks: list[str] = field(default_factory=list)

    @property
    def offset(self) -> float:
        """Time of the first frame after the first packet of the audio, seconds."""
        return self.times[0] - self.sound[0]


def run_program(name: str, *words: str | Path) -> bytes:
    """Output of ffmpeg or ffprobe; the test skips without it."""
    program = shutil.which(name)
    if program is None:
        pytest.skip(f"{name} is not installed; apt-get install ffmpeg")
    quiet = ["-v", "quiet", *(["-y"] if name == "ffmpeg" else [])]
    done = subprocess.run([program, *quiet, *map(str, words)], capture_output=True, check=True)
    return done.stdout


def make_clip(path: Path, words: str, *, seconds: float = 1, first: int = 0) -> Path:
    """Let ffmpeg encode a marked video and a tone.

    Args:
        path: Of the clip.
        words: Arguments of ffmpeg behind the two inputs.
        seconds: Length, seconds.
        first: Number of the first frame.
    """
    marks = MARKS.replace("(N/", f"((N+{first})/")
    sources = ("-f", "lavfi", "-i", marks, "-f", "lavfi", "-i", "sine=f=440:r=48000")
    length = ("-t", str(seconds), "-threads", "1")
    run_program("ffmpeg", *sources, *length, *words.split(), path)
    return path


def read_marks(path: Path) -> list[int]:
    """Numbers of the frames of a file, as ffmpeg decodes them."""
    wanted = ("-map", "0:v:0", "-fps_mode", "passthrough", "-vf", "scale=64:48,format=gray")
    raw = run_program("ffmpeg", "-i", path, *wanted, "-f", "rawvideo", "-")
    return marks_of(np.frombuffer(raw, np.uint8).reshape(-1, HEIGHT, WIDTH))


def marks_of(frames: np.ndarray) -> list[int]:
    """Numbers that `(count, H, W)` grey frames carry."""
    columns = frames.reshape(len(frames), HEIGHT, BITS, WIDTH // BITS)[:, 8:-8, :, 2:-2]
    bits = columns.mean(axis=(1, 3)) > 128
    return [int(number) for number in bits @ (1 << np.arange(BITS))]


def probe(path: Path) -> Probed:
    """Ask ffprobe for frames and packets."""
    wanted = "frame=best_effort_timestamp_time,media_type:packet=codec_type,pts_time"
    shown = ("-show_packets", "-show_frames", "-show_entries", f"{wanted}:stream=codec_name")
    found = json.loads(run_program("ffprobe", "-of", "json", *shown, path))
    entries = found.get("packets_and_frames", [])
    return Probed(
        [
            float(entry.get("best_effort_timestamp_time", "nan"))
            for entry in entries
            if entry.get("media_type") == "video"
        ],
        [
            float(entry.get("pts_time", "nan"))
            for entry in entries
            if entry.get("codec_type") == "audio" and "media_type" not in entry
        ],
        [stream.get("codec_name", "") for stream in found.get("streams", [])],
    )
