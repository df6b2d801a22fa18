"""What HDR video says beside its colour tags, before and after, as ffprobe has it."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from vsrc.runtime.encode.encoders import ENCODERS, encoder_options
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer
from vsrc.runtime.picture.hdr import NO_HDR, HdrMetadata, hdr_metadata, hdr_options

Make = Callable[..., Any]

SCREEN = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1)"


@pytest.fixture(scope="module")
def hdr_clip(tmp_path_factory: pytest.TempPathFactory, ffmpeg: Make) -> Path:
    path = tmp_path_factory.mktemp("hdr") / "a.mkv"
    words = "colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:log-level=none"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.12", "-pix_fmt", "yuv420p10le",
           "-c:v", "libx265", "-x265-params", f"{words}:master-display={SCREEN}:max-cll=1000,400",
           path)  # fmt: skip
    return path


def side_data(ffprobe: Make, path: Path) -> dict[str, dict[str, Any]]:
    first = ffprobe(path, "-select_streams", "v", "-show_frames")["frames"][0]
    return {side.pop("side_data_type"): side for side in first["side_data_list"]}


@pytest.mark.parametrize("codec", ["x265", "av1"])
def test_screen_and_brightness_are_kept(
    tmp_path: Path, hdr_clip: Path, enlarger: Make, ffprobe: Make, codec: str
) -> None:
    output = tmp_path / "b.mkv"
    config = InferConfig((hdr_clip,), output, codec=codec, allow_hdr=True)
    notes = infer(config, session=enlarger()).files[0].notes
    assert not any("metadata" in note for note in notes)
    before, after = side_data(ffprobe, hdr_clip), side_data(ffprobe, output)
    light = "Content light level metadata"
    assert after[light] == before[light] == {"max_content": 1000, "max_average": 400}
    screens = [
        {name: float(Fraction(value)) for name, value in one["Mastering display metadata"].items()}
        for one in (before, after)
    ]
    assert screens[0]["max_luminance"] == 1000
    # AV1 counts in 1/65536, and the darkest level in 1/16384.
    assert screens[1] == pytest.approx(screens[0], abs=3e-5)


def test_x264_writes_them_too(tmp_path: Path, hdr_clip: Path, enlarger: Make) -> None:
    output = tmp_path / "b.mp4"
    infer(InferConfig((hdr_clip,), output, allow_hdr=True), session=enlarger())
    found = []
    for path in (hdr_clip, output):
        with av.open(str(path)) as container:
            found.append(hdr_metadata(next(container.decode(video=0))))
    assert found[0] == found[1]  # judged with FFmpeg's own reading: ffprobe 5.1 does not show it
    assert found[0].light == (1000, 400)


def test_an_encoder_without_words_for_it_says_so(
    tmp_path: Path, hdr_clip: Path, enlarger: Make
) -> None:
    config = InferConfig((hdr_clip,), tmp_path / "b.mkv", codec="ffv1", allow_hdr=True)
    notes = infer(config, session=enlarger()).files[0].notes
    assert any("ffv1" in note and "HDR" in note for note in notes)


def test_options_are_added_to_those_that_are_there() -> None:
    light = HdrMetadata(light=(600, 200))
    options = encoder_options(ENCODERS["x265"], crf=None, preset=None, width=64, hdr=light)
    assert options["x265-params"].startswith("log-level=error:")
    assert options["x265-params"].endswith(":max-cll=600,200")
    assert hdr_options("libx265", NO_HDR) == {}
    assert hdr_options("prores_ks", light) == {}
