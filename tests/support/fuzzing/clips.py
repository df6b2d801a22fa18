"""Good clips of 12 frames, one for each pair of container and codec, and damaged copies of them."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av

from support.fuzzing.damage import MUTATIONS, damage_packets

FRAMES = 12
X265 = "-x265-params log-level=none:keyint=6"
SEEDS = {
    "h264.mp4": "-c:v libx264 -g 6 -bf 2 -c:a aac",
    "h264.mkv": "-c:v libx264 -g 6 -bf 2 -pix_fmt yuv420p10le -c:a libmp3lame",
    "h264.ts": "-c:v libx264 -g 6 -c:a mp2",
    "hevc.mp4": f"-c:v libx265 {X265} -c:a aac",
    "hevc.ts": f"-c:v libx265 {X265} -c:a aac",
    "vp9.webm": "-c:v libvpx-vp9 -g 6 -deadline realtime -cpu-used 8 -c:a libopus",
    "vp8.webm": "-c:v libvpx -g 6 -deadline realtime -cpu-used 8 -c:a libvorbis",
    "av1.mp4": "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 6 -c:a aac",
    "av1.webm": "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 6 -c:a libopus",
    "mpeg4.avi": "-c:v mpeg4 -g 6 -c:a libmp3lame",
    "mpeg2.ts": "-c:v mpeg2video -g 6 -bf 2 -c:a mp2",
    "mjpeg.avi": "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le",
    "prores.mov": "-c:v prores_ks -c:a pcm_s16le",
    "ffv1.mkv": "-c:v ffv1 -c:a flac",
    "vp8.ivf": "-c:v libvpx -g 6 -an",
    "h264.flv": "-c:v libx264 -g 6 -bf 2 -c:a aac",
    "wmv2.wmv": "-c:v wmv2 -g 6 -c:a wmav2",
    "mpeg2.mxf": "-c:v mpeg2video -g 6 -bf 2 -c:a pcm_s16le -ar 48000",
    "ffv1.nut": "-c:v ffv1 -c:a flac",
    "theora.ogv": "-c:v libtheora -g 6 -c:a libvorbis",
    "mpeg1.mpg": "-c:v mpeg1video -g 6 -bf 2 -c:a mp2",
    "rv20.rm": "-c:v rv20 -g 6 -c:a ac3",
    "flv1.swf": "-c:v flv1 -g 6 -ar 44100 -c:a libmp3lame",
    "mpeg2.wtv": "-c:v mpeg2video -g 6 -c:a mp2",
    "mpeg4.3gp": "-c:v mpeg4 -g 6 -c:a aac",
    "mpeg2.vob": "-c:v mpeg2video -g 6 -bf 2 -c:a mp2",
    "av1.obu": "-c:v libaom-av1 -cpu-used 8 -usage realtime -g 6 -an",
    "h264.h264": "-c:v libx264 -g 6 -bf 2 -an",
    "amv.amv": "-c:v amv -pix_fmt yuvj420p -ar 22050 -ac 1 -c:a adpcm_ima_amv -block_size 882",
    "gif.gif": "-pix_fmt rgb8 -an",
    "jpeg2000.mj2": "-c:v jpeg2000 -an -f mov",
}
"""Clips and the words that make ffmpeg write them."""


@dataclass(frozen=True)
class Damaged:
    """One file.

    Attributes:
        path: Where it lies.
        kind: How it was damaged.
        frames: As many as the result has to have, if any; None where nobody can say.
    """

    path: Path
    kind: str
    frames: int | None


def make_seeds(folder: Path, names: list[str] | None) -> dict[str, Path]:
    """The good clips; those that this ffmpeg cannot write are left out, with a word."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = f"-f lavfi -i testsrc2=s=64x48:r=25:d={FRAMES / 25} -f lavfi -i sine=d={FRAMES / 25}"
    found = {}
    for name in names or SEEDS:
        path = folder / name
        words = f"-v error -y {sources} -pix_fmt yuv420p {SEEDS[name]} -shortest".split()
        done = subprocess.run(
            [ffmpeg(), *words, str(path)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"no {name}: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
        else:
            found[name] = path
    return found


def ffmpeg() -> str:
    """The program: that of the machine, or the one that comes with imageio-ffmpeg."""
    found = shutil.which("ffmpeg")
    if found is None:
        import imageio_ffmpeg

        found = imageio_ffmpeg.get_ffmpeg_exe()
    return str(found)


def make_files(folder: Path, seeds: dict[str, Path], count: int, seed: int) -> Iterator[Damaged]:
    """Damage the clips in turn, each in all ways."""
    folder.mkdir(parents=True, exist_ok=True)
    draw = random.Random(seed)
    names = list(seeds)
    kinds = list(MUTATIONS)
    for index in range(count):
        name = names[index % len(names)]
        kind = kinds[index // len(names) % len(kinds)]
        path = folder / f"{index:04d}-{kind}-{name}"
        mutate = MUTATIONS[kind]
        if mutate is None:
            damage_packets(seeds[name], path, draw)
            yield Damaged(path, kind, frames_of(seeds[name]))
        else:
            other = seeds[draw.choice(names)]
            path.write_bytes(mutate(seeds[name].read_bytes(), other.read_bytes(), draw))
            yield Damaged(path, kind, None)


def frames_of(path: Path) -> int:
    """Frames of a good clip."""
    with av.open(str(path)) as container:
        packets = (each for each in container.demux(video=0) if each.size or each.pts is None)
        return sum(len(packet.decode()) for packet in packets)  # Theora's without bytes: no change
