"""The round trip through a GPU's encoder and decoder, with FFmpeg's on the CPU in their places."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest

from support.software_nvdec import SoftwareNvdec, nvdec_on_the_cpu
from vsrc.export.selftest import route_step
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.result import ROUND_TRIPS
from vsrc.runtime.errors import MissingDependencyError, VsrcError

FORMATS = {"libx264": "yuv420p", "libx265": "yuv420p10le"}


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(tmp_path, tmp_path, 0, quick=False, tell=lambda _: None)


@pytest.mark.parametrize("codec", FORMATS)
def test_frames_of_both_decoders_are_compared(
    context: Context, monkeypatch: pytest.MonkeyPatch, codec: str
) -> None:
    made = nvdec_on_the_cpu(monkeypatch)
    said = route_step._round_trip(context, codec, FORMATS[codec])
    assert said.startswith("24 frames, equal to those that the CPU decodes, ")
    assert float(said.split()[-2]) > 30
    assert made[-1].fed == 24


def test_a_sample_that_differs_fails_the_check(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvdec_on_the_cpu(monkeypatch)
    usual = SoftwareNvdec.decode

    def decode(self: SoftwareNvdec, packet: Any) -> list[av.VideoFrame]:  # noqa: ANN401
        frames = usual(self, packet)
        for frame in frames:
            if frame.pts == 0:
                plane = frame.planes[0]
                plane.update(bytes([200]) * plane.buffer_size)
        return frames

    monkeypatch.setattr(SoftwareNvdec, "decode", decode)
    with pytest.raises(VsrcError, match="1 of 24 frames to other samples"):
        route_step._round_trip(context, "libx264", "yuv420p")


@pytest.mark.parametrize("codec", ROUND_TRIPS)
def test_without_the_hardware_it_is_skipped_with_the_reason(context: Context, codec: str) -> None:
    _, pix_fmt = ROUND_TRIPS[codec]
    with pytest.raises(MissingDependencyError, match=codec):
        route_step._round_trip(context, codec, pix_fmt)


def test_without_nvdec_it_is_skipped_with_the_reason(context: Context) -> None:
    with pytest.raises(MissingDependencyError, match="NVDEC"):
        route_step._round_trip(context, "libx264", "yuv420p")
