"""Deinterlace video, or end where it becomes interlaced; frames and time stamps stay the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING

from vsrc.runtime.pyav_versions import time_base

if TYPE_CHECKING:
    import av
    from av.filter import Graph


_LOOK_AHEAD = 4
"""Frames among which a second interlaced one shows that the first was no damage."""

_LEAST_SIDE = 4
"""Smallest side that the filter accepts, pixels."""


def iter_deinterlaced(
    frames: Iterable[av.VideoFrame], *, is_unmarked: bool = False
) -> Iterator[av.VideoFrame]:
    """Run FFmpeg's bwdif (motion adaptive) over the interlaced frames of one stream.

    Frames that are not marked as interlaced stay untouched.

    Args:
        frames: The frames.
        is_unmarked: Whether the frames of an interlaced stream have no mark, so that all are
            deinterlaced.
    """
    filtered: _Filter | None = None
    before: av.VideoFrame | None = None
    for frame in frames:
        if filtered is not None and not filtered.accepts(frame):
            yield from filtered.finish()
            filtered, before = None, None
        is_due = is_unmarked or frame.interlaced_frame
        if filtered is None and is_due and min(frame.width, frame.height) >= _LEAST_SIDE:
            filtered = _Filter(frame, before, is_unmarked=is_unmarked)
        if filtered is None:
            yield frame
            before = frame
        else:
            yield from filtered.push(frame)
    if filtered is not None:
        yield from filtered.finish()


def iter_progressive(
    frames: Iterable[av.VideoFrame], refuse: Callable[[av.VideoFrame], Exception]
) -> Iterator[av.VideoFrame]:
    """Yield frames up to the first of several interlaced ones, and raise what `refuse` returns."""
    source = iter(frames)
    held: deque[av.VideoFrame] = deque()
    while held or (held := deque(islice(source, 1))):
        if held[0].interlaced_frame:
            held.extend(islice(source, _LOOK_AHEAD - len(held)))
            if sum(frame.interlaced_frame for frame in held) > 1:
                raise refuse(held[0])
        yield held.popleft()


class _Filter:
    """bwdif for frames of one size and format; `before` is what precedes the first of them.

    It looks one frame ahead and halves the time base, so each result takes the time stamps of the
    frame it was made from.
    """

    def __init__(
        self, first: av.VideoFrame, before: av.VideoFrame | None, *, is_unmarked: bool
    ) -> None:
        self._shape = _shape(first)
        self._graph = _bwdif(first, is_unmarked=is_unmarked)
        self._stamps: deque[tuple[int | None, int | None, int]] = deque()
        self._ignored = 0
        if before is not None and self.accepts(before):
            self._ignored = 1
            self._stamps.append((before.pts, before.dts, before.duration))
            self._graph.push(before)

    def accepts(self, frame: av.VideoFrame) -> bool:
        return _shape(frame) == self._shape

    def push(self, frame: av.VideoFrame) -> Iterator[av.VideoFrame]:
        self._stamps.append((frame.pts, frame.dts, frame.duration))
        self._graph.push(frame)
        yield from self._ready()

    def finish(self) -> Iterator[av.VideoFrame]:
        self._graph.push(None)
        yield from self._ready()

    def _ready(self) -> Iterator[av.VideoFrame]:
        while True:
            try:
                frame = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            frame.pts, frame.dts, frame.duration = self._stamps.popleft()
            if self._ignored:
                self._ignored -= 1
            else:
                yield frame


def _shape(frame: av.VideoFrame) -> tuple[int, int, str]:
    return frame.width, frame.height, frame.format.name


def bwdif_options(*, is_unmarked: bool) -> str:
    """Options of FFmpeg's bwdif; without a mark all frames are deinterlaced."""
    return f"mode=send_frame:parity=auto:deint={'all' if is_unmarked else 'interlaced'}"


def _bwdif(first: av.VideoFrame, *, is_unmarked: bool) -> Graph:
    import av.filter

    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=first.width,
        height=first.height,
        format=first.format,
        time_base=time_base(first),
    )
    graph.link_nodes(
        source,
        graph.add("bwdif", bwdif_options(is_unmarked=is_unmarked)),
        graph.add("buffersink"),
    ).configure()
    return graph
