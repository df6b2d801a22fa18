"""Range and matrix that change where two recordings were joined."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.decoded import frames_of

Make = Callable[..., Any]

Y, CB, CR = 100, 160, 90
"""What all pixels are coded with; the tags alone say which colour that is."""

LIMITED_601, FULL_709 = (1, 0.299, 0.114), (2, 0.2126, 0.0722)
"""Range in FFmpeg's numbers, and the shares of red and blue in luma."""

CODERS = {
    "h264": (
        "-c:v libx264 -preset ultrafast -qp 2 -bf {bf} -b_strategy 0 -sc_threshold 0 -g {gop}",
        "h264_metadata=video_full_range_flag=1:matrix_coefficients=1",
    ),
    "hevc": (
        "-c:v libx265 -preset ultrafast "
        "-x265-params log-level=none:lossless=1:bframes={bf}:b-adapt=0:keyint={gop}:scenecut=0",
        "hevc_metadata=video_full_range_flag=1:matrix_coefficients=1",
    ),
}


def rgb_of(samples_range: int, red: float, blue: float) -> np.ndarray:
    """The colour, by the formulas of ITU-T H.273, section 8.3."""
    if samples_range == 1:
        y, cb, cr = (Y - 16) / 219, (CB - 128) / 224, (CR - 128) / 224
    else:
        y, cb, cr = Y / 255, (CB - 128) / 255, (CR - 128) / 255
    r, b = y + 2 * (1 - red) * cr, y + 2 * (1 - blue) * cb
    g = (y - red * r - blue * b) / (1 - red - blue)
    return 255 * np.clip([r, g, b], 0, 1)


@pytest.mark.parametrize("coder", CODERS)
@pytest.mark.parametrize(("bf", "gop"), [(0, 10), (2, 10), (3, 25), (2, 12), (3, 1), (2, 24)])
@pytest.mark.parametrize("is_tagged_first", [False, True])
def test_tags_change_with_the_first_frame_of_the_second_recording(
    tmp_path: Path, ffmpeg: Make, coder: str, bf: int, gop: int, *, is_tagged_first: bool
) -> None:
    """Decoders that delay frames must not give the last ones of the first recording new tags."""
    words, tagger = CODERS[coder]
    parts = [tmp_path / "plain.ts", tmp_path / "tagged.ts"]
    flat = f"nullsrc=s=64x48:r=25,format=yuv420p,geq=lum={Y}:cb={CB}:cr={CR}"
    ffmpeg("-f", "lavfi", "-i", flat, "-t", "1", *words.format(bf=bf, gop=gop).split(), parts[0])
    ffmpeg("-i", parts[0], "-c", "copy", "-bsf:v", tagger, parts[1])
    source = tmp_path / "joined.ts"
    if is_tagged_first:  # the second one has tags of its own, too
        ffmpeg("-i", parts[0], "-c", "copy", "-bsf:v", tagger.replace("=1", "=0", 1)
               .replace("coefficients=1", "coefficients=6"), tmp_path / "limited.ts")  # fmt: skip
        parts[0] = tmp_path / "limited.ts"
    source.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    frames = frames_of(source)
    assert len(frames) == 50
    for number, frame in enumerate(frames):
        expected = rgb_of(*(LIMITED_601 if number < 25 else FULL_709))
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), expected, atol=1.5, err_msg=str(number))
