"""Progress reports and results of `infer`."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field

from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.decode.clip_layouts import SkippedFile
from vsrc.runtime.decode.probe import VideoInfo
from vsrc.runtime.errors import VsrcError, describe_error
from vsrc.runtime.text.count_text import count_text
from vsrc.runtime.windows.lane_choice import LaneChoice

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class InferProgress:
    """Progress of one input; the first report of each input has `done` 0.

    Attributes:
        input: Name of the input.
        output: Path of the result.
        info: Properties of the input.
        writes: Encoder, pixel format and size of the result.
        graph: Graph of the network, with its backend.
        done: Number of frames of the result so far, those kept from earlier runs included.
        total: Number of frames of the result; None where unknown.
        seconds: Time since this input was started.
        fps: Throughput of the frames that this run upscales, frames/s; None before the first.
        notes: Warnings for the user at the start.
    """

    input: str
    output: str
    info: VideoInfo
    writes: str
    graph: GraphInUse
    done: int
    total: int | None
    seconds: float
    fps: float | None = None
    notes: tuple[str, ...] = ()

    @property
    def eta_seconds(self) -> float | None:
        """Estimated time to the last frame, seconds; None where it is unknown."""
        if self.total is None or not self.fps:
            return None
        return max(0, self.total - self.done) / self.fps

    @property
    def headline(self) -> str:
        """One line on input, output, encoder and graph."""
        return f"{self.input}: {self.info} -> {self.output}: {self.writes} by {self.graph}"


@dataclass(frozen=True)
class FileResult:
    """Result of one input that was upscaled.

    Attributes:
        input: Name of the input.
        output: Path of the result.
        frames: Number of frames of the result.
        shots: Number of shots between scene cuts; 1 if cuts were not detected.
        seconds: Time from opening the input to the finished output.
        first_frame_seconds: Time from the call of `infer`, or the end of the previous input, until
            the first frame reached the encoder.
        fps: Throughput of the frames that this run upscaled, frames/s; 0 where all existed.
        runs: Label of the session that ran the network.
        model: Name of the model: of its package, or of a network without one.
        graph: Graph of the network, with its backend.
        lanes: Division of the CPU threads among windows; None on other devices, and for a network
            with a state, whose frames follow one another.
        notes: Warnings about damaged, missing or dropped data.
        recomputed_frames: Number of frames corrupted by reduced precision and recomputed in fp32.
        corrupted_frames: Number of corrupted frames that could not be recomputed.
        kept_frames: Number of frames that existed before: from a run that was stopped, or from
            other shares.
    """

    input: str
    output: str
    frames: int
    shots: int
    seconds: float
    first_frame_seconds: float
    fps: float
    runs: str
    model: str
    graph: GraphInUse
    lanes: LaneChoice | None = field(default=None, kw_only=True)
    notes: tuple[str, ...]
    recomputed_frames: int = 0
    corrupted_frames: int = 0
    kept_frames: int = 0

    @property
    def line(self) -> str:
        """What there is to say at the end."""
        words = describe_corruption(self.recomputed_frames, self.corrupted_frames)
        made = self.frames - self.kept_frames
        frames = count_text(self.frames, "frame")
        if not self.kept_frames:
            work = f"{frames}, {self.fps:.3g} fps"
        elif made:
            work = f"{frames}, {made} of them upscaled now at {self.fps:.3g} fps"
        else:
            work = f"{frames}, all of them upscaled before"
        return f"{self.output}  {work}{words}"


@dataclass(frozen=True)
class PieceResult:
    """Result of a piece of one long input, which is joined when all shares are done.

    Attributes:
        input: Name of the input.
        output: Path of the future result.
        first: Index of the first frame of the piece.
        stop: Index after its last frame.
        total: Number of frames of the whole result.
        made: Number of frames upscaled in this run; the others existed before.
        fps: Throughput of those, frames/s; 0 for none.
        recomputed_frames: Number of frames of the piece recomputed in fp32, in all runs.
        corrupted_frames: Number of corrupted frames of the piece that could not be recomputed.
    """

    input: str
    output: str
    first: int
    stop: int
    total: int
    made: int
    fps: float = 0.0
    recomputed_frames: int = 0
    corrupted_frames: int = 0

    @property
    def line(self) -> str:
        """What there is to say at the end."""
        work = describe_piece(self)
        words = describe_corruption(self.recomputed_frames, self.corrupted_frames)
        return f"{self.output}: {work}{words}; the last share to finish joins them"


def describe_piece(piece: PieceResult) -> str:
    """Say which frames a piece has, and how many of them this run upscaled."""
    frames = f"frames {piece.first} to {piece.stop - 1} of {piece.total} are done"
    pace = f" at {piece.fps:.3g} fps" if piece.made else ""
    return f"{frames}, {piece.made} of them upscaled now{pace}"


def describe_corruption(recomputed_frames: int, corrupted_frames: int) -> str:
    """Format the counts of corrupted frames as the end of a line; empty if there are none."""
    words = f", {recomputed_frames} recomputed in fp32" if recomputed_frames else ""
    return words + (f", {corrupted_frames} left black or white" if corrupted_frames else "")


@dataclass(frozen=True)
class Failure:
    """One of several inputs that could not be upscaled.

    Attributes:
        input: Name of the input.
        error: Error message, one line.
    """

    input: str
    error: str


def describe_failure(source: str, error: Exception) -> Failure:
    """Describe the failure of an input, whatever it raised."""
    if isinstance(error, VsrcError):
        return Failure(source, str(error))
    logger.info("%s failed", source, exc_info=error)
    return Failure(source, f"{source} cannot be processed: {describe_error(error)}")


@dataclass(frozen=True)
class InferResult:
    """Results of all inputs, in their order.

    Attributes:
        files: Inputs that were upscaled.
        failures: Inputs that failed; always empty for a single input, whose error is raised.
        pieces: Pieces of long inputs that are split between shares, unless this run joined them.
        skipped: Files of folders and globs that are neither videos nor images.
    """

    files: tuple[FileResult, ...]
    failures: tuple[Failure, ...] = ()
    pieces: tuple[PieceResult, ...] = ()
    skipped: tuple[SkippedFile, ...] = ()
