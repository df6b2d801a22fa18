"""Split a long video between processes that share a folder and do not communicate otherwise.

    segments of the result |  |    |  |  |   |  |    |  |  each has its own encoder
    pieces                 |    0     |    1    |     2    |  ending with a segment, best at a cut
    frames read for 1    ..|==========|.. .                    including neighbours in its windows

Each process writes the segments of its pieces; the first to find all of them complete joins them,
by running the whole job, which then only has to concatenate them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial

from vsrc.runtime.decode.frame import ResultFrame, SourceFrame
from vsrc.runtime.encode.frame_table import (
    FrameTable,
    load_table,
    read_table,
    save_table,
    segment_borders,
)
from vsrc.runtime.encode.kept_states import BorderSet, KeptStates
from vsrc.runtime.encode.segments import SegmentStore
from vsrc.runtime.encode.state_store import StateStore
from vsrc.runtime.encode.video_writer import VideoWriter
from vsrc.runtime.errors import MediaError, MismatchError
from vsrc.runtime.jobs import pipeline
from vsrc.runtime.jobs.job import Job
from vsrc.runtime.pending_file import failures_named
from vsrc.runtime.windows.upscale import (
    WARM_UP,
    describe_warm_up,
    neighbours,
    upscale_frames,
    window_step,
)

_TABLE_FILE = "frames.json"

FrameCallback = Callable[[int], None]


@dataclass(frozen=True)
class Piece:
    """Frames [first, stop) of a result."""

    first: int
    stop: int

    def __str__(self) -> str:
        return f"frames {self.first} to {self.stop - 1}"


@dataclass(frozen=True)
class SplitVideo:
    """A video that is upscaled in pieces.

    Attributes:
        job: Input, session and output.
        store: Store of the finished segments.
        table: Table of all frames of the source.
        borders: First frame of each segment, and finally the number of frames of the result.
    """

    job: Job
    store: SegmentStore
    table: FrameTable
    borders: list[int]

    @property
    def is_complete(self) -> bool:
        """Whether all segments exist, whichever process wrote them."""
        self.store.look()
        return not self.missing_segments(Piece(0, self.borders[-1]))

    def missing_segments(self, piece: Piece) -> list[tuple[int, int]]:
        """List first frame and stop of each segment of a piece that does not exist yet."""
        return [
            (first, stop)
            for first, stop in itertools.pairwise(self.borders)
            if piece.first <= first < piece.stop and self.store.at(first) is None
        ]

    def pieces(self, count: int) -> list[Piece]:
        """Split into at most `count` pieces of similar length, ending at nearby cuts if any."""
        total = self.borders[-1]
        inner = self.borders[1:-1]
        reach = total / count / 4
        ends = set()
        for number in range(1, count if inner else 1):
            ideal = total * number / count
            near = [border for border in inner if abs(border - ideal) <= reach]
            cuts = [border for border in near if self._starts_shot(border)]
            ends.add(min(cuts or inner, key=lambda border: abs(border - ideal)))
        return [Piece(*ends) for ends in itertools.pairwise([0, *sorted(ends), total])]

    def _starts_shot(self, result: int) -> bool:
        return self.table.starts_shot(result, time_scale=self.job.session.network.time_scale)


def split_video(job: Job) -> SplitVideo:
    """Read a source to its end, unless already done, and compute the borders of its segments.

    Raises:
        MediaError: Segments of another job exist for this output, no frame is in the requested
            range, or the disk is too small.
    """
    job.make_room(0)
    store = job.store(shared=True)
    writer = job.video_writer(store)
    writer.discard()
    with failures_named(job.target.path):
        store.claim()
    table = load_table(store.folder / _TABLE_FILE)
    if table is None:
        table = read_table(job.frames())
        save_table(table, store.folder / _TABLE_FILE)
    if not any(table.wanted):
        raise MediaError(f"{job.target.source.name}: --start is after its last frame")
    scale = job.session.network.time_scale
    return SplitVideo(job, store, table, segment_borders(table, time_scale=scale, most=writer.most))


def make_piece(video: SplitVideo, piece: Piece, tell: FrameCallback) -> int:
    """Upscale the missing segments of a piece and keep them in the store.

    Args:
        video: The video.
        piece: The piece.
        tell: Called with the number of frames done.

    Returns:
        Number of frames upscaled.

    Raises:
        MediaError: The source has changed since it was read to its end.
    """
    missing = video.missing_segments(piece)
    if not missing:
        return 0
    frames = sum(stop - first for first, stop in missing)
    video.job.make_room(frames)
    span = Piece(missing[0][0], missing[-1][1])
    try:
        _make(video, piece, span, tell, winds=True)
    except MismatchError:
        # In a damaged or unusual file, decoding after a seek differs from decoding in sequence.
        try:
            _make(video, piece, span, tell, winds=False)
        except MismatchError as error:
            name = video.job.target.source.name
            raise MediaError(f"{name} changed while it was upscaled: {error}") from error
    return frames


def _make(
    video: SplitVideo, piece: Piece, span: Piece, tell: FrameCallback, *, winds: bool
) -> None:
    """Upscale the missing segments within `span`, which lies in the piece."""
    job, table = video.job, video.table
    begin, stop = frames_for(video, span, piece)
    time_scale = job.session.network.time_scale
    number = max(0, begin - table.first_wanted) * time_scale
    writer = job.video_writer(video.store)
    sink = _PieceSink(writer, span, number, time_scale * table.pts[table.first_wanted])
    transform = partial(
        upscale_frames,
        session=job.session,
        batch=job.config.batch,
        is_kept=lambda frame: not span.first <= frame < span.stop or video.store.covers(frame),
        first=number,
        guard=job.guard,
        kept_states=_kept_states(video, piece) if job.session.network.state else None,
    )
    try:
        with closing(job.another_reader()) as reader:
            if winds:
                reader.seek(table.pts[begin])
            frames: Iterable[SourceFrame] = table.frames_of(reader, begin, stop)
            pipeline.run(
                frames,
                lambda read: _iter_counting(transform(read), tell),
                sink.write,
                depths=(pipeline.SOURCE_DEPTH, job.session.queue),
            )
            sink.finish()
        if job.session.network.state and span.stop == video.borders[-1]:
            StateStore(video.store).save(span.stop, None)  # nothing follows the last part
    finally:
        writer.discard()


def _kept_states(video: SplitVideo, piece: Piece) -> KeptStates:
    """The states within a piece: those at its ends would make its bytes depend on other pieces."""
    missing = [first for first, _stop in video.missing_segments(piece)]
    return KeptStates(
        video.store,
        BorderSet([border for border in video.borders if piece.first < border < piece.stop]),
        next_missing=lambda frame: next((first for first in missing if first >= frame), None),
        usable=lambda number: piece.first < number < piece.stop,
    )


def warm_up_notes(video: SplitVideo, piece: Piece) -> list[str]:
    """Note that a piece starts within a shot, which matters to a network with a state."""
    network = video.job.session.network
    first = video.table.first_wanted + piece.first
    if not network.state or first == _shot_of(video.table, first):
        return []
    return [describe_warm_up(network)]


def frames_for(video: SplitVideo, span: Piece, piece: Piece) -> tuple[int, int]:
    """Range [begin, stop) of source frames to read, as indices into the table.

    These are the frames of the span, the neighbours in their windows, and as many more as are
    needed for windows and batches to start where they start in a run over the whole shot. With a
    state, they are those of the piece from the start of a shot on, or from `WARM_UP` frames before
    the piece, or from where a state is stored.

    Args:
        video: The video.
        span: Frames to upscale.
        piece: Piece that contains them.
    """
    network, table = video.job.session.network, video.table
    if network.state:
        return _frames_with_state(video, span, piece)
    context, batch, step = neighbours(network), video.job.config.batch, window_step(network)
    first = table.first_wanted + span.first // network.time_scale
    last = table.first_wanted + (span.stop - 1) // network.time_scale
    shot = _shot_of(table, first)
    begin = shot + max(0, first - context - shot) // (step * batch) * (step * batch)
    # One more frame shows whether the shot ends there.
    return begin, min(len(table.pts), last + context + (batch - 1) * step + 2)


def _frames_with_state(video: SplitVideo, span: Piece, piece: Piece) -> tuple[int, int]:
    table, context = video.table, neighbours(video.job.session.network)
    first, last, whole = (
        table.first_wanted + frame for frame in (span.first, span.stop - 1, piece.first)
    )
    if span.first > piece.first and span.first in StateStore(video.store).numbers():
        start = first
    else:
        start = max(_shot_of(table, whole), whole - WARM_UP)
    begin = max(_shot_of(table, first), start - context)
    return begin, min(len(table.pts), last + context + 2)


def _shot_of(table: FrameTable, frame: int) -> int:
    """First frame of the shot of a frame."""
    return max((at for at in range(frame + 1) if table.shots[at]), default=0)


class _PieceSink:
    """Sink that encodes the frames of a piece into segments that stay in the store."""

    def __init__(self, writer: VideoWriter, piece: Piece, number: int, first_pts: int) -> None:
        self._writer = writer
        self._piece = piece
        self._number = number
        self._encoder = writer.segments(piece.first)
        writer.begin(first_pts)

    def write(self, frame: ResultFrame) -> None:
        """Encode the next frame of the result."""
        if not frame.counts:
            return
        if self._piece.first <= self._number < self._piece.stop:
            with failures_named(self._writer.path):
                self._encoder.encode(self._writer.picture(frame), frame)
        self._number += 1

    def finish(self) -> None:
        """Finish and keep the last segment."""
        with failures_named(self._writer.path):
            self._encoder.finish(keep=True)


def _iter_counting(results: Iterable[ResultFrame], tell: FrameCallback) -> Iterator[ResultFrame]:
    done = 0
    for result in results:
        yield result
        if result.rgb is not None:
            done += 1
            tell(done)
