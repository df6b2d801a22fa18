"""Time each stage alone, and the whole pipeline on a clip of the measured size."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vsrc.runtime.errors import VsrcError
from vsrc.runtime.latency.config import BenchConfig
from vsrc.runtime.latency.measurement import StageTimes

if TYPE_CHECKING:
    from vsrc.runtime.latency.subject import BenchSubject
    from vsrc.runtime.windows.session import Session

_FRAMES = 24
_FPS = Fraction(24)
_PROFILE_SECONDS = 1.0


def time_stages(subject: BenchSubject, config: BenchConfig) -> StageTimes:
    """Time the parts of the graph, then run the whole pipeline on a clip.

    Args:
        subject: Opened subject.
        config: Frame size and number of threads.
    """
    durations_ms, missing, clock = _inside(subject, config)
    if subject.on_device is not None:
        durations_ms, missing, clock = _on_device(subject)
    if subject.session is None:
        why = "the inputs of the graph are not frames in a layout that vsrc supports"
        missing |= dict.fromkeys(("decode", "encode", "end_to_end"), why)
        return StageTimes(durations_ms, missing, clock)
    try:
        return _on_a_clip(subject, config, durations_ms, missing, clock)
    except (VsrcError, OSError) as error:
        why = f"the clip could not be upscaled: {error}"
        missing |= dict.fromkeys(("decode", "encode", "end_to_end"), why)
        return StageTimes(durations_ms, missing, clock)


def _inside(
    subject: BenchSubject, config: BenchConfig
) -> tuple[dict[str, tuple[float, ...]], dict[str, str], str | None]:
    """Return durations of pre, network and post, reasons for missing ones, and the clock."""
    names = ("pre", "network", "post")
    if subject.graph is None or not subject.label.startswith("ort-cpu"):
        why = f"{subject.label} does not report the time of its parts"
        return {}, dict.fromkeys(names, why), None
    from vsrc.runtime.backends.ort_stages import graph_stages

    stages = graph_stages(
        subject.graph, subject.feeds, threads=config.threads, seconds=_PROFILE_SECONDS
    )
    if stages is None:
        return {}, dict.fromkeys(names, "the graph has no convolution or matrix product"), None
    durations_ms = {"pre": stages.pre_ms, "network": stages.network_ms, "post": stages.post_ms}
    return durations_ms, {}, "profiler of ONNX Runtime, in a separate session"


def _on_device(
    subject: BenchSubject,
) -> tuple[dict[str, tuple[float, ...]], dict[str, str], str | None]:
    """Return durations of the stages that can be timed on a device."""
    assert subject.on_device is not None
    stages = subject.on_device(_PROFILE_SECONDS)
    durations_ms = {
        "upload": stages.upload_ms,
        "network": stages.network_ms,
        "download": stages.download_ms,
        "enqueue": stages.enqueue_ms,
    }
    why = "an engine is not divided: its layout and rounding are part of network_ms"
    clock = "events of the device; enqueue by the clock of the host"
    return durations_ms, dict.fromkeys(("pre", "post"), why), clock


def _on_a_clip(
    subject: BenchSubject,
    config: BenchConfig,
    durations_ms: dict[str, tuple[float, ...]],
    missing: dict[str, str],
    clock: str | None,
) -> StageTimes:
    from vsrc.runtime.jobs.config import InferConfig
    from vsrc.runtime.jobs.infer_all import infer
    from vsrc.runtime.jobs.stage_clock import StageClock

    stages = StageClock()
    with (
        tempfile.TemporaryDirectory(prefix="vsrc-bench.") as folder,
        _session_for_videos(subject, config) as session,
    ):
        source = Path(folder) / "clip.mp4"
        source.write_bytes(_clip(*config.shape))
        job = InferConfig((source,), Path(folder) / "sr.mp4", threads=config.threads)
        (file,) = infer(job, session=session, clock=stages).files
    outside = {name: tuple(stages.durations_ms[name]) for name in ("decode", "encode")}
    return StageTimes(
        durations_ms={**durations_ms, **outside},
        missing=missing,
        clock=clock,
        end_to_end_fps=file.frames / file.seconds,
        end_to_end_frames=file.frames,
        first_frame_ms=file.first_frame_seconds * 1000,
    )


@contextmanager
def _session_for_videos(subject: BenchSubject, config: BenchConfig) -> Iterator[Session]:
    """Open the session of `vsrc infer`: it keeps features and runs several windows in parallel."""
    from vsrc.runtime.backends.opening import open_video_session
    from vsrc.runtime.package import open_package

    assert subject.session is not None
    if subject.kind != "package" or config.model is None:
        yield subject.session
        return
    session = open_video_session(
        open_package(config.model),
        backend=config.backend,
        precision=config.precision,
        threads=config.threads,
        device=config.device,
        size=config.shape,
    )
    with closing(session):
        yield session


def _clip(height: int, width: int) -> bytes:
    """Encode frames of the sample clip, tiled or cropped to the size, as H.264 in MP4."""
    from vsrc.runtime.encode.page_video import PageVideo
    from vsrc.runtime.sample import sample_frames

    frames = sample_frames(_FRAMES)
    repeats = (-(-height // frames.shape[1]), -(-width // frames.shape[2]))
    video = PageVideo(width=width, height=height, fps=_FPS)
    for frame in frames:
        video.write(np.tile(frame, (*repeats, 1))[:height, :width])
    return video.finish()
