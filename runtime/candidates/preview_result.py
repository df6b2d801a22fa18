"""What a preview found out about each candidate."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.jobs.result import FileResult


@dataclass(frozen=True)
class PreviewCandidate:
    """One way to upscale the video, tried on the excerpt.

    Attributes:
        label: Name on the page.
        model: Model as for `-m` of `vsrc infer`; None for Lanczos.
        runs: What ran it: backend and precision.
        frames: Number of frames of the excerpt's result.
        seconds: Time that the excerpt took.
        fps: Steady throughput, frames of the result per second, without the start.
        whole_seconds: Estimated time for the whole video, seconds; None where its length is
            unknown.
        whole_bytes: Estimated size of the whole result without audio, bytes; None likewise.
        command: Command that upscales the whole video this way.
    """

    label: str
    model: str | None
    runs: str
    frames: int
    seconds: float
    fps: float
    whole_seconds: float | None
    whole_bytes: int | None
    command: str


@dataclass(frozen=True)
class Preview:
    """Result of a preview.

    Attributes:
        page: Path of the HTML file.
        video: The video.
        start: Start of the excerpt, seconds from the first frame.
        frames: Number of frames of the excerpt.
        whole_frames: Number of frames of the video; None where unknown.
        recommended: Name of the model that `vsrc infer` would choose for this video.
        advice: The same as a sentence, with the reason.
        candidates: What was tried, in that order.
        planned: Number of candidates; larger than their number on the page of a stopped run.
    """

    page: str
    video: str
    start: float
    frames: int
    whole_frames: int | None
    recommended: str
    advice: str
    candidates: tuple[PreviewCandidate, ...]
    planned: int


def steady_fps(result: FileResult) -> float:
    """Frames per second of a run without its start: loading, and the first frame."""
    spent = result.seconds - result.first_frame_seconds
    if result.frames < 2 or spent <= 0:
        return result.fps
    return (result.frames - 1) / spent


def whole_seconds(result: FileResult, frames: int) -> float:
    """Estimate the time for `frames` frames of the result from a run over fewer of them."""
    if result.frames < 2:
        return result.seconds * frames
    return result.first_frame_seconds + (frames - 1) / steady_fps(result)
