"""Alpha channels: what is opaque is taken, and the advice for the rest works as it is typed."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vsrc.runtime.decode.frames.transparency import is_transparent
from vsrc.runtime.errors import MediaError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

Make = Callable[..., Any]

FORMATS = (
    "rgba",
    "bgra",
    "argb",
    "ya8",
    "ya16be",
    "rgba64be",
    "yuva420p",
    "yuva444p10le",
    "gbrap12le",
)


@pytest.mark.parametrize("pix_fmt", FORMATS)
def test_one_pixel_that_is_not_opaque_is_found(pix_fmt: str) -> None:
    pixels = np.full((8, 8, 4), 255, np.uint8)
    opaque = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pix_fmt)
    pixels[3, 5, 3] = 200
    holed = av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pix_fmt)
    assert (is_transparent(opaque), is_transparent(holed)) == (False, True)


def frame_of(pix_fmt: str, *, width: int, height: int, alpha: int) -> av.VideoFrame:
    """A planar frame of noise, all of whose alpha samples have one value."""
    frame = av.VideoFrame(width, height, pix_fmt)
    kind = np.dtype("u1" if pix_fmt.endswith("p") else f"{'>' if 'be' in pix_fmt else '<'}u2")
    random = np.random.default_rng(0)
    for number, plane in enumerate(frame.planes):
        count = plane.buffer_size // kind.itemsize
        samples = random.integers(0, 256, count) if number < 3 else np.full(count, alpha)
        plane.update(samples.astype(kind).tobytes())
    return frame


@pytest.mark.parametrize("size", [(322, 178), (34, 34), (17, 9), (1, 1)])
@pytest.mark.parametrize(
    ("pix_fmt", "most"), [("yuva420p", 255), ("yuva422p10le", 1023), ("yuva444p12be", 4095)]
)
def test_every_column_of_an_opaque_plane_is_opaque(
    pix_fmt: str, most: int, size: tuple[int, int]
) -> None:
    width, height = size  # swscale converts several pixels at once
    for _ in range(20):  # it left the last ones as the memory was
        frame = frame_of(pix_fmt, width=width, height=height, alpha=most)
        assert not is_transparent(frame)
    holed = frame_of(pix_fmt, width=width, height=height, alpha=most)
    plane = holed.planes[3]
    last = (height - 1) * plane.line_size + (width - 1) * (1 if most == 255 else 2)
    data = bytearray(bytes(plane))
    data[last : last + (1 if most == 255 else 2)] = bytes(1 if most == 255 else 2)
    plane.update(bytes(data))
    assert is_transparent(holed)


HALF = "testsrc2=s=32x32:d=0.2,format=rgba,colorchannelmixer=aa=0.3"
LATER = "testsrc2=s=32x32:d=0.2,format=rgba,geq=r=r(X\\,Y):g=g(X\\,Y):b=b(X\\,Y):a='255*lt(N\\,3)'"
FULL = "testsrc2=s=32x32:d=0.2,format=rgba"

OPAQUE = {
    "a.gif": "",
    "a.apng": "",
    "argb.mov": "-c:v qtrle -pix_fmt argb",
    "prores.mov": "-c:v prores_ks -pix_fmt yuva444p10le",
}


@pytest.mark.parametrize("name", OPAQUE)
def test_an_opaque_alpha_channel_is_no_reason_to_refuse(
    tmp_path: Path, ffmpeg: Make, enlarger: Make, name: str
) -> None:
    ffmpeg("-f", "lavfi", "-i", FULL, *OPAQUE[name].split(), tmp_path / name)
    done = infer(InferConfig((tmp_path / name,), tmp_path / "b.mkv"), session=enlarger())
    assert done.files[0].frames == 5


@pytest.mark.parametrize(
    ("name", "source", "line"),
    [
        (
            "a.gif",
            f"{HALF},split[a][b];[a]palettegen=reserve_transparent=1[p];[b][p]paletteuse",
            "",
        ),
        ("an animation.apng", HALF, ""),
        ("a.png", HALF, "-frames:v 1"),
        ("deep.png", HALF, "-frames:v 1 -pix_fmt rgba64be"),
        ("prores.mov", HALF, "-c:v prores_ks -pix_fmt yuva444p10le"),
        ("vp9.webm", HALF, "-c:v libvpx-vp9 -pix_fmt yuva420p"),
        ("later.mov", LATER, "-c:v png"),
    ],
)
def test_the_advised_command_makes_a_file_that_is_taken(
    tmp_path: Path, ffmpeg: Make, enlarger: Make, name: str, source: str, line: str
) -> None:
    clip, output = tmp_path / name, tmp_path / "out.mkv"
    ffmpeg("-f", "lavfi", "-i", source, *line.split(), clip)
    with pytest.raises(MediaError, match="has transparency") as refusal:
        infer(InferConfig((clip,), output), session=enlarger())
    command = shlex.split(str(refusal.value).partition("remove it first: ")[2])
    assert command[0] == "ffmpeg"
    subprocess.run([command[0], "-v", "error", *command[1:]], check=True)
    done = infer(InferConfig((command[-1],), output), session=enlarger())
    assert done.files[0].frames == (1 if name.endswith(".png") else 5)


def can_read_animated_webp() -> bool:
    """Whether PyAV's FFmpeg is 9 or later."""
    return "webp_anim" in av.formats_available


def test_an_animated_webp_is_read_whole_or_named_as_what_it_is(
    tmp_path: Path, ffmpeg: Make, enlarger: Make
) -> None:
    clip = tmp_path / "a.webp"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=32x32:d=0.2", "-c:v", "libwebp", clip)
    config = InferConfig((clip,), tmp_path / "b.mkv")
    if can_read_animated_webp():
        assert infer(config, session=enlarger()).files[0].frames == 5
    else:
        with pytest.raises(MediaError, match=r"is an animated WebP.*magick .*a\.webp"):
            infer(config, session=enlarger())
