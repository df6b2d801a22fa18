"""Options of `vsrc preview`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsrc.runtime.jobs.config import InferConfig


@dataclass(frozen=True)
class PreviewConfig:
    """What to try, and where to write the page.

    Attributes:
        video: Video, or a folder or pattern of images.
        models: Model packages; empty for the shipped students for clean and for compressed video.
        names: Names of the models, as for `-m` of `vsrc infer`; empty for their paths.
        output: Path of the page, one HTML file.
        start: Start of the excerpt, seconds from the first frame; None for the middle of the video.
        seconds: Length of the excerpt; a shorter video is used whole.
        backend: Backend that runs the networks, as for `vsrc infer`.
        precision: Name of the graph; `auto` lets the backend choose.
        threads: CPU threads; 0 for all.
        codec: Codec of the results, on which their time and size depend; None as for `vsrc infer`.
        crf: Constant quality of the encoder; None for the codec's default.
        preset: Preset of the encoder; None for the codec's default.
        allow_hdr: Whether HDR video is accepted; its code values are upscaled as if they were SDR.
        deinterlace: Whether interlaced video is deinterlaced before upscaling.
        fps: Frame rate of inputs that are images, frames/s.
        overwrite: Whether an existing page is replaced.
    """

    video: str | Path
    models: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    output: Path = Path("preview.html")
    start: float | None = None
    seconds: float = 3.0
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    allow_hdr: bool = False
    deinterlace: bool = False
    fps: float = InferConfig.fps
    overwrite: bool = False

    def __post_init__(self) -> None:
        if self.start is not None and not 0 <= self.start < float("inf"):
            raise ValueError(f"start={self.start} must be a number of seconds, 0 or more")
        if not 0 < self.seconds < float("inf"):
            raise ValueError(f"seconds={self.seconds} must be a number of seconds above 0")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps={self.fps} must lie in (0, 1000]")
        if self.names and len(self.names) != len(self.models):
            raise ValueError(f"{len(self.models)} models have {len(self.names)} names")

    def of_infer(
        self, output: Path, *, model: Path | None, start: float, frames: int | None
    ) -> InferConfig:
        """Settings of `infer` for one candidate.

        Args:
            output: Video to write.
            model: Model package; None where the session is given.
            start: Start of the excerpt, seconds.
            frames: Number of frames of the source; None for all.
        """
        return InferConfig(
            inputs=(self.video,),
            output=output,
            model=model,
            backend=self.backend,
            precision=self.precision,
            threads=self.threads,
            start=start,
            frames=frames,
            codec=self.codec,
            crf=self.crf,
            preset=self.preset,
            audio="drop",
            allow_hdr=self.allow_hdr,
            deinterlace=self.deinterlace,
            fps=self.fps,
        )


@dataclass(frozen=True)
class PreviewProgress:
    """State of a preview.

    Attributes:
        label: Name of the candidate that is running.
        index: Its number, from 1.
        count: Number of candidates.
        done: Number of frames that it has upscaled.
        frames: Number of frames of the excerpt; 0 where unknown.
    """

    label: str
    index: int
    count: int
    done: int
    frames: int
