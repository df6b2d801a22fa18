"""Whole files whose frames stay on the device: cuts, sound, time stamps, folders, the self-test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from support.decoded import frames_of
from support.resident_runs import SIZE, STAYS, clip_of, notes, upscale
from support.resident_video import Hardware
from vsrc.export.selftest import route_step
from vsrc.export.selftest.context import Context
from vsrc.export.selftest.result import ROUND_TRIPS
from vsrc.runtime.errors import MissingDependencyError
from vsrc.runtime.jobs.config import InferConfig
from vsrc.runtime.jobs.infer_all import infer

pytest.importorskip("tensorrt_rtx", reason="tensorrt-rtx is not installed")

Make = Callable[..., Any]


def test_the_result_is_close_to_that_of_the_cpu_path(
    tmp_path: Path, write_clip: Make, moving: Make, package: Path, hardware: Hardware
) -> None:
    """And cuts, an excerpt, sound and time stamps are those of the CPU path."""
    source = tmp_path / "a.mp4"
    frames = np.concatenate([moving(10, *SIZE), 255 - moving(12, *SIZE, seed=5)])
    stamps = [at * 7 + at % 3 for at in range(22)]
    write_clip(source, frames, pts=stamps, sound=True, options={"g": "8", "bf": "2"})
    asked: dict[str, Any] = {"start": 0.4}
    host = upscale(source, package, tmp_path / "host.mkv", hwaccel="none", **asked)
    result = upscale(source, package, tmp_path / "b.mkv", **asked)
    assert STAYS in notes()
    assert (result.frames, result.shots) == (host.frames, host.shots)
    assert result.shots == 2
    assert packets(tmp_path / "b.mkv", 0) == packets(tmp_path / "host.mkv", 0)
    assert packets(tmp_path / "b.mkv", 1) == packets(tmp_path / "host.mkv", 1)
    near = frames_of(tmp_path / "host.mkv").astype(int)
    assert np.abs(frames_of(tmp_path / "b.mkv") - near).max() <= 6
    assert hardware.encoders


def packets(path: Path, index: int) -> list[tuple[Any, ...]]:
    """Stamps of all packets of a track, and the bytes of sound."""
    with av.open(str(path)) as container:
        return [
            (packet.pts, packet.duration, bytes(packet) if index else b"")
            for packet in container.demux(container.streams[index])
            if packet.size
        ]


def test_a_finished_file_of_a_folder_is_not_made_again(
    tmp_path: Path, write_clip: Make, moving: Make, package: Path, hardware: Hardware
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for name in "ab":
        clip_of(write_clip, moving, folder / f"{name}.mkv")
    config = InferConfig(
        (folder,),
        tmp_path / "out",
        model=package,
        hwaccel="cuda",
        codec="nvenc",
        precision="fp32",
        backend="trt-rtx",
        threads=1,
    )
    infer(config)
    made = len(hardware.encoders)
    again = infer(config).files
    assert all("skipped" in file.notes[0] for file in again)
    assert sum(bool(encoder.layouts) for encoder in hardware.encoders[made:]) == 0


def test_the_selftest_upscales_a_video_on_the_device(tmp_path: Path, hardware: Hardware) -> None:
    context = Context(tmp_path, tmp_path, 0, quick=False, tell=lambda _: None)
    with pytest.raises(MissingDependencyError, match="it needs the NVENC and NVDEC round trip"):
        route_step._stay_on_device(context)
    context.add(ROUND_TRIPS["h264_nvenc"][0], "passed")
    said = route_step._stay_on_device(context)
    assert said.startswith("24 frames, ")
    assert said.endswith(" dB from those through host memory")
    assert {layout for each in hardware.encoders for layout in each.layouts} == {"nv12"}
