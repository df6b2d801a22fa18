"""What `vsrc infer` can be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vsrc.runtime.jobs.shard import Shard


@dataclass(frozen=True)
class InferConfig:
    """One run over one or more inputs.

    Attributes:
        inputs: Videos, pictures, folders of either, globs, or `-` for a video on stdin.
        output: A video file (the suffix names the container), pictures (`out/%08d.png`), or a
            folder that takes each input under its own name; `-` writes y4m to stdout.
        model: Model package; None takes the student that ships.
        backend: What runs the network, as in `open_session`.
        precision: Name of the graph; `auto` lets the backend choose.
        threads: CPU threads for the network and for the encoder, 0 for as many as there are cores.
        batch: Windows fed at once.
        tile: Longest side that is fed at once, LR pixels with the overlap; 0 feeds whole frames,
            None what memory allows.
        cuts: Find scene cuts, so that no frame is restored with the help of another shot.
        start: Where to begin, seconds from the first frame.
        frames: How many frames to restore; None for all that follow.
        shard: The share of the inputs that this machine takes; None for all.
        codec: One of `vsrc.runtime.encode.encoders.ENCODERS`, or the name of an FFmpeg encoder.
        crf: Constant quality of the encoder, smaller is better; None for the codec's default.
        preset: Preset of the encoder; None for the codec's default.
        overwrite: Replace an output that exists.
        allow_hdr: Take HDR video, restoring its code values as if they were SDR.
        deinterlace: Weave interlaced fields into progressive frames (bwdif) before restoring.
        fps: Frames a second of inputs that are pictures.
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
    shard: Shard | None = None
    codec: str = "x264"
    crf: int | None = None
    preset: str | None = None
    overwrite: bool = False
    allow_hdr: bool = False
    deinterlace: bool = False
    fps: float = 25.0

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ValueError("no input: name a video, a folder or a glob")
        if self.start < 0:
            raise ValueError(f"start={self.start} is before the first frame; it counts from 0 s")
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames={self.frames} leaves nothing to do; ask for 1 or more")
        if self.batch < 1 or self.threads < 0:
            raise ValueError(
                f"batch={self.batch} must be 1 or more and threads={self.threads} not negative"
            )
        if self.tile is not None and self.tile < 0:
            raise ValueError(f"tile={self.tile} must be a side in LR pixels, or 0 for whole frames")
        if not 0 < self.fps <= 1000:
            raise ValueError(f"fps={self.fps} must lie in (0, 1000]")

    @property
    def is_excerpt(self) -> bool:
        """Whether a part of each input is asked for."""
        return self.start > 0 or self.frames is not None


def parse_seconds(text: str) -> float:
    """Seconds from `12.5`, `1:02.5` or `1:02:03.5`.

    Raises:
        ValueError: It is none of these.
    """
    parts = text.split(":")
    try:
        numbers = [float(part) for part in parts]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or any(number < 0 for number in numbers):
        raise ValueError(f"{text!r} is no time; write seconds, MM:SS or HH:MM:SS")
    return sum(number * 60.0**place for place, number in enumerate(reversed(numbers)))
