"""What `infer` reports while it runs and when it is done."""

from __future__ import annotations

from dataclasses import dataclass

from vsrc.runtime.backends.graph_in_use import GraphInUse
from vsrc.runtime.decode.probe import VideoInfo


@dataclass(frozen=True)
class InferProgress:
    """How far one input has come; the first report of each has `done` 0.

    Attributes:
        input: Name of the input.
        output: Where the result goes.
        info: What the input holds.
        writes: Encoder, pixel format and size of the result.
        graph: Graph of the network, and what runs it.
        done: Frames restored so far.
        total: Frames there will be; None where the input does not say.
        seconds: Time since this input was begun.
        notes: What the user should know before the wait.
    """

    input: str
    output: str
    info: VideoInfo
    writes: str
    graph: GraphInUse
    done: int
    total: int | None
    seconds: float
    notes: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """One line on what was found and what is made of it."""
        return f"{self.input}: {self.info} -> {self.output}: {self.writes} by {self.graph}"


@dataclass(frozen=True)
class FileResult:
    """One input that was restored.

    Attributes:
        input: Name of the input.
        output: Where the result is.
        frames: Frames of the result.
        shots: Parts between scene cuts; 1 where none was looked for.
        seconds: Time from opening the input to the finished output.
        first_frame_seconds: Time from the call of `infer`, or the end of the input before, until
            the first frame was with the encoder.
        fps: Frames of the result a second.
        runs: What ran the network, as its session names it.
        graph: Graph of the network, and what ran it.
        notes: What was damaged, missing or could not be kept.
        redone: Frames that reduced precision had spoilt, and that were restored again in fp32.
        spoilt: Frames that it had spoilt, and that could not be.
    """

    input: str
    output: str
    frames: int
    shots: int
    seconds: float
    first_frame_seconds: float
    fps: float
    runs: str
    graph: GraphInUse
    notes: tuple[str, ...]
    redone: int = 0
    spoilt: int = 0

    @property
    def line(self) -> str:
        """What there is to say at the end."""
        words = describe_redone(self.redone, self.spoilt)
        return f"{self.output}  {self.frames} frames, {self.fps:.1f} fps{words}"


@dataclass(frozen=True)
class PieceResult:
    """A piece of one long input, which waits for the other shares.

    Attributes:
        input: Name of the input.
        output: Where the result will be.
        first: First frame of the piece.
        stop: Behind its last frame.
        total: Frames of the whole result.
        made: How many of them this run made; the others were there.
        redone: Of its frames, those restored again in fp32, by this run or the ones before.
        spoilt: Of its frames, those that reduced precision had spoilt, and that could not be.
    """

    input: str
    output: str
    first: int
    stop: int
    total: int
    made: int
    redone: int = 0
    spoilt: int = 0

    @property
    def line(self) -> str:
        """What there is to say at the end."""
        kept = f"frames {self.first} to {self.stop - 1} of {self.total} are kept"
        words = describe_redone(self.redone, self.spoilt)
        return f"{self.output}: {kept}{words}; the last share joins them"


def describe_redone(redone: int, spoilt: int) -> str:
    """What was spoilt, as the end of a line; empty where nothing was."""
    words = f", {redone} redone in fp32" if redone else ""
    return words + (f", {spoilt} left black or white" if spoilt else "")


@dataclass(frozen=True)
class Failure:
    """One input, of several, that could not be restored.

    Attributes:
        input: Name of the input.
        error: One line that says why.
    """

    input: str
    error: str


@dataclass(frozen=True)
class InferResult:
    """What became of the inputs, in their order.

    Attributes:
        files: Those that were restored.
        failures: Those that were not; always empty for a single input, whose error is raised.
        pieces: Of long inputs that several shares make together, unless this run joined them.
    """

    files: tuple[FileResult, ...]
    failures: tuple[Failure, ...] = ()
    pieces: tuple[PieceResult, ...] = ()
