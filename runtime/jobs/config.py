"""Settings of `vsrc infer`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsrc.runtime.jobs.share import Share

HWACCELS = ("none", "cuda", "auto")
AUDIO_MODES = ("copy", "encode", "drop")


@dataclass(frozen=True)
class InferConfig:
    """Settings of one run over one or more inputs.

    Attributes:
        inputs: Videos, images, folders of either, globs, or `-` for a video on stdin.
        output: A video file (the suffix selects the container), images (`out/%08d.png`), or a
            folder in which each result has the name of its input; `-` writes y4m to stdout.
        model: Model package; None for the student that ships with vsrc.
        backend: Backend that runs the network, as in `open_session`.
        precision: Name of the graph; `auto` lets the backend choose.
        threads: CPU threads for the network and for the encoder; 0 for as many as there are cores,
            divided among windows by a trial on the first frames.
        batch: Number of windows fed at once.
        tile: Tile side, LR pixels including the overlap; 0 for whole frames, None for the largest
            that fits into memory.
        cuts: Whether scene cuts are detected, so that no window spans two shots.
        start: Start time, seconds from the first frame.
        frames: Number of frames to upscale; None for all from `start` on.
        shard: Share of the inputs that this machine processes; None for all.
        codec: One of `vsrc.runtime.encode.encoders.ENCODERS`, or the name of an FFmpeg encoder;
            None to choose by the container and the bit depth.
        crf: Constant quality of the encoder, smaller is better; None for the codec's default.
        preset: Preset of the encoder; None for the codec's default.
        audio: `copy` copies audio where the container can hold it and encodes it elsewhere,
            `encode` always encodes it (AAC, Opus, or FLAC where the source is lossless), `drop`
            leaves it out.
        overwrite: Whether an existing output is replaced.
        verify: Whether sources are compared with those of an earlier run by all their bytes, even
            where size, time of modification and samples are the same.
        allow_hdr: Whether HDR video is accepted; its code values are upscaled as if they were SDR.
        deinterlace: Whether interlaced video is deinterlaced (bwdif) before upscaling.
        fps: Frame rate of image sequences, frames/s.
        device: Index of the CUDA device, of those that CUDA_VISIBLE_DEVICES leaves.
        hwaccel: What decodes videos: `none` the CPU, `cuda` the decoder of the GPU where it can,
            `auto` that decoder if `vsrc selftest` has passed on this GPU. With `cuda` and an
            encoder of the GPU, frames stay there where that is possible.
    """

    inputs: tuple[str | Path, ...]
    output: Path
    model: Path | None = None
    backend: str = "auto"
    precision: str = "auto"
    threads: int = 0
    batch: int = 1
    tile: int | None = None
    cuts: bool = True
    start: float = 0.0
    frames: int | None = None
    shard: Share | None = None
    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    audio: str = "copy"
    overwrite: bool = False
    verify: bool = False
    allow_hdr: bool = False
    deinterlace: bool = False
    fps: float = 25.0
    device: int = 0
    hwaccel: str = "auto"

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("no input: name a video, a folder or a glob")
        if self.start < 0:
            raise ValueError(f"start={self.start} is before the first frame; it counts from 0 s")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames={self.frames} must be 1 or more")
        if self.batch < 1 or self.threads < 0:
            raise ValueError(
                f"batch={self.batch} must be 1 or more and threads={self.threads} not negative"
            )
        if self.tile is not None and self.tile < 0:
            raise ValueError(f"tile={self.tile} must be a side in LR pixels, or 0 for whole frames")
        _check_choice("audio", self.audio, AUDIO_MODES)
        _check_choice("hwaccel", self.hwaccel, HWACCELS)
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps={self.fps} must lie in (0, 1000]")

    @property
    def is_excerpt(self) -> bool:
        """Whether only a part of each input is requested."""
        return self.start > 0 or self.frames is not None


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name}={value!r} must be one of {', '.join(choices)}")


def parse_seconds(text: str) -> float:
    """Parse seconds from `12.5`, `1:02.5` or `1:02:03.5`.

    Raises:
        ValueError: The text has none of these forms.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or any(number < 0 for number in numbers):
        raise ValueError(f"{text!r} is not a time; write seconds, MM:SS or HH:MM:SS")
    return sum(number * 60.0**place for place, number in enumerate(reversed(numbers)))
